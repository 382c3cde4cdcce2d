//! Compiles the protos with protox, so that no protoc is needed.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "holdfast/v1/types.proto",
        "holdfast/v1/errors.proto",
        "holdfast/v1/commands.proto",
        "holdfast/v1/inventory.proto",
        "holdfast/v1/cluster.proto",
        "holdfast/log/v1/log.proto",
        "holdfast/log/v1/meta.proto",
        "holdfast/peer/v1/introduction.proto",
        "holdfast/peer/v1/peer.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("holdfast_descriptor.bin"), prost::Message::encode_to_vec(&descriptors))?;

    // Maps are ordered, so that the same message has the same bytes in every run.
    // Payloads of the log travel as `Bytes`: taken out of a frame without a copy.
    tonic_prost_build::configure()
        .btree_map(".")
        .bytes(".holdfast.peer.v1")
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
