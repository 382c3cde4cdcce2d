//! docs/errors.md says of every reason what the table of errors says.

use std::path::Path;

use holdfast_proto::v1::ErrorReason;

/// Every reason but the unspecified one, in the order of their numbers.
fn reasons() -> impl Iterator<Item = ErrorReason> {
    (1..=200).filter_map(|number| ErrorReason::try_from(number).ok())
}

fn row(reason: ErrorReason) -> String {
    let faces = reason.faces();
    format!(
        "| `{}` | {} | {:?} | {} | {} | {} |",
        reason.name(),
        faces.http,
        faces.code,
        faces.exit,
        faces.retry.name(),
        faces.effect.name()
    )
}

#[test]
fn every_reason_is_documented_with_its_faces() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let text = std::fs::read_to_string(path).expect("docs/errors.md is there");
    let missing: Vec<String> = reasons().map(row).filter(|row| !text.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/errors.md lacks:\n{}", missing.join("\n"));
    assert!(reasons().count() >= 50);
}
