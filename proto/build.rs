//! Compiles the protos with protox, so that no protoc is needed.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "holdfast/v1/types.proto",
        "holdfast/v1/errors.proto",
        "holdfast/v1/commands.proto",
        "holdfast/v1/inventory.proto",
        "holdfast/v1/events.proto",
        "holdfast/v1/cluster.proto",
        "holdfast/v1/shards.proto",
        "holdfast/v1/alerts.proto",
        "holdfast/v1/endpoints.proto",
        "holdfast/log/v1/log.proto",
        "holdfast/log/v1/meta.proto",
        "holdfast/peer/v1/introduction.proto",
        "holdfast/peer/v1/orders.proto",
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
    let generator = || tonic_prost_build::configure().btree_map(".").bytes(".holdfast.peer.v1").build_transport(false);
    generator().compile_fds(descriptors.clone())?;
    // The same once more for what nodes say to one another, of which src/lib.rs takes that package only: it has a codec of its own.
    let peer = out.join("peer");
    std::fs::create_dir_all(&peer)?;
    generator().codec_path("crate::checksummed::Checksummed").out_dir(peer).compile_fds(descriptors)?;
    Ok(())
}
