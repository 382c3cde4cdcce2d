//! Dependencies with faults that were mended there put back, for `cargo xtask mutations`.
//!
//! A copy of this workspace below target/ is built in place of the workspace itself: its manifest names changed copies of those
//! crates, and nothing of that, not even a line of Cargo.lock, touches what ships. A fault is a diff of ours
//! (`mutation/openraft/`), whose text must stand in the crate exactly once: a new version that reads otherwise is an error, not a
//! fault that is silently gone. Line numbers do not matter.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The faults to put back.
const DIFFS: [&str; 2] = ["mutation/openraft/openraft-1802.diff", "mutation/openraft/openraft-2118.diff"];

/// One place of a crate's file that is changed.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    package: String,
    file: PathBuf,
    was: String,
    becomes: String,
}

/// Makes the copy of the workspace in `folder` and gives the path of its manifest.
///
/// # Errors
///
/// In words: what does not fit, or cannot be read or written.
pub fn prepare(root: &Path, folder: &Path) -> Result<PathBuf, String> {
    let mut changes = Vec::new();
    for diff in DIFFS {
        let text = fs::read_to_string(root.join(diff)).map_err(|error| format!("{diff}: {error}"))?;
        changes.extend(parse(&text).map_err(|problem| format!("{diff}: {problem}"))?);
    }
    let mut packages: Vec<&str> = changes.iter().map(|change| change.package.as_str()).collect();
    packages.sort_unstable();
    packages.dedup();

    let workspace = folder.join("workspace");
    let mut patch = "\n[patch.crates-io]\n".to_owned();
    let metadata = metadata(root)?;
    for package in packages {
        let source = source_of(package, &metadata).ok_or_else(|| format!("cargo knows no sources of {package}"))?;
        let copy = folder.join("crates").join(package);
        let of_package: Vec<&Change> = changes.iter().filter(|change| change.package == package).collect();
        copy_changed(&source, &copy, &of_package).map_err(|problem| format!("{package}: {problem}"))?;
        writeln!(patch, "{package} = {{ path = \"../crates/{package}\" }}").expect("a string takes everything");
    }
    let tracked = crate::tidy::tracked(root);
    // What an earlier copy has and the workspace has not any more would be built too.
    forget_others(&workspace, &workspace, &tracked.iter().cloned().collect())
        .map_err(|error| format!("{}: {error}", workspace.display()))?;
    for file in tracked {
        let mut bytes = fs::read(root.join(&file)).map_err(|error| format!("{}: {error}", file.display()))?;
        if file == Path::new("Cargo.toml") {
            bytes.extend_from_slice(patch.as_bytes());
        }
        write_if_new(&workspace.join(&file), &bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(workspace.join("Cargo.toml"))
}

/// Removes the files beneath a folder that are none of these, by their paths in the copy; what cargo makes beside them stays.
fn forget_others(copy: &Path, folder: &Path, files: &BTreeSet<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let within = path.strip_prefix(copy).unwrap_or(&path);
        if path.is_dir() {
            forget_others(copy, &path, files)?;
        } else if !files.contains(within) && within != Path::new("Cargo.lock") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn metadata(root: &Path) -> Result<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata does not run: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata fails: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where the sources of a package of the registry lie, by what `cargo metadata` says.
fn source_of(package: &str, metadata: &str) -> Option<PathBuf> {
    let manifests = metadata.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let is_it = |folder: &&Path| {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let version = name.strip_prefix(package).and_then(|rest| rest.strip_prefix('-'));
        version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
    };
    manifests.filter_map(|manifest| Path::new(manifest).parent()).find(is_it).map(Path::to_owned)
}

/// Reads a unified diff: each hunk is one change, its context a part of the text that must be found.
fn parse(diff: &str) -> Result<Vec<Change>, String> {
    let mut changes: Vec<Change> = Vec::new();
    let mut target = None;
    let mut is_in_hunk = false;
    for line in diff.lines() {
        if let Some(path) = line.strip_prefix("+++ b/") {
            let (package, file) = path.split_once('/').ok_or_else(|| format!("`{path}` names no file of a crate"))?;
            target = Some((package.to_owned(), PathBuf::from(file)));
        } else if line.starts_with("--- ") {
            is_in_hunk = false;
        } else if line.starts_with("@@") {
            let (package, file) = target.clone().ok_or("a hunk stands before its file")?;
            changes.push(Change { package, file, was: String::new(), becomes: String::new() });
            is_in_hunk = true;
        } else if let Some(change) = changes.last_mut().filter(|_| is_in_hunk) {
            let (kind, code) = line.split_at(line.len().min(1));
            match kind {
                "-" => change.was += &format!("{code}\n"),
                "+" => change.becomes += &format!("{code}\n"),
                " " | "" => {
                    change.was += &format!("{code}\n");
                    change.becomes += &format!("{code}\n");
                }
                _ => return Err(format!("`{line}` is no line of a diff")),
            }
        }
    }
    if changes.is_empty() { Err("changes nothing".to_owned()) } else { Ok(changes) }
}

/// Makes a change in a file's text.
fn apply(text: &str, change: &Change) -> Result<String, String> {
    match text.matches(&change.was).count() {
        1 => Ok(text.replacen(&change.was, &change.becomes, 1)),
        found => Err(format!(
            "{}: the text to change is there {found} times, not once; write the diff anew for this version:\n{}",
            change.file.display(),
            change.was
        )),
    }
}

/// Copies a crate with its changes; it can ask which mutation is on.
fn copy_changed(source: &Path, copy: &Path, changes: &[&Change]) -> Result<(), String> {
    let mut made = 0;
    for file in files_below(source).map_err(|error| error.to_string())? {
        let path = source.join(&file);
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mine: Vec<&&Change> = changes.iter().filter(|change| change.file == file).collect();
        let is_manifest = file == Path::new("Cargo.toml");
        let bytes = if mine.is_empty() && !is_manifest {
            bytes
        } else {
            let mut text = String::from_utf8(bytes).map_err(|_| format!("{}: no text", path.display()))?;
            for change in mine {
                text = apply(&text, change)?;
                made += 1;
            }
            if is_manifest {
                text += "\n[dependencies.holdfast-mutation]\npath = \"../../workspace/mutation\"\n";
            }
            text.into_bytes()
        };
        write_if_new(&copy.join(&file), &bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if made == changes.len() { Ok(()) } else { Err("a file that is to be changed is not there".to_owned()) }
}

/// All files below a folder, relative to it.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut waiting = vec![PathBuf::new()];
    let mut files = Vec::new();
    while let Some(inner) = waiting.pop() {
        for entry in fs::read_dir(folder.join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() { waiting.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}

/// Writes a file unless it says that already: cargo goes by the time of the last change.
fn write_if_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "Why.\n\n--- a/box/src/lid.rs\n+++ b/box/src/lid.rs\n@@ -1,2 +1,2 @@\n fn open() {\n-    twice();\n+    once();\n";

    #[test]
    fn a_hunk_is_a_text_and_what_it_becomes_by_crate_and_file() {
        let changes = parse(DIFF).unwrap();
        let expected = Change {
            package: "box".to_owned(),
            file: PathBuf::from("src/lid.rs"),
            was: "fn open() {\n    twice();\n".to_owned(),
            becomes: "fn open() {\n    once();\n".to_owned(),
        };
        assert_eq!(changes, [expected]);
    }

    #[test]
    fn a_text_that_is_not_there_exactly_once_is_an_error() {
        let change = &parse(DIFF).unwrap()[0];
        let there = "fn open() {\n    twice();\n}\n";
        assert_eq!(apply(there, change).unwrap(), "fn open() {\n    once();\n}\n");
        assert!(apply("fn open() {\n    thrice();\n}\n", change).unwrap_err().contains("0 times"));
        assert!(apply(&there.repeat(2), change).unwrap_err().contains("2 times"));
    }

    #[test]
    fn what_an_earlier_copy_had_and_the_workspace_has_not_is_gone() {
        let folder = std::env::temp_dir().join(format!("holdfast-copy-{}", std::process::id()));
        for file in ["Cargo.lock", "box/tests/lid.rs", "box/tests/lid/main.rs"] {
            write_if_new(&folder.join(file), b"").unwrap();
        }
        let files = BTreeSet::from([PathBuf::from("box/tests/lid/main.rs")]);
        forget_others(&folder, &folder, &files).unwrap();
        let is_there = |file: &str| folder.join(file).exists();
        assert!(is_there("Cargo.lock") && is_there("box/tests/lid/main.rs") && !is_there("box/tests/lid.rs"));
        fs::remove_dir_all(&folder).unwrap();
        forget_others(&folder, &folder, &files).unwrap();
    }

    #[test]
    fn a_diff_that_changes_nothing_is_an_error() {
        assert!(parse("Why, and no more.\n").is_err());
    }

    #[test]
    fn sources_are_found_by_name_and_not_by_the_beginning_of_another_name() {
        let metadata =
            r#"{"manifest_path":"/r/box-lid-1.0.0/Cargo.toml"},{"manifest_path":"/r/box-2.0.0-alpha.1/Cargo.toml"}"#;
        assert_eq!(source_of("box", metadata), Some(PathBuf::from("/r/box-2.0.0-alpha.1")));
        assert_eq!(source_of("lid", metadata), None);
    }

    #[test]
    fn the_diffs_of_the_repository_are_diffs() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for diff in DIFFS {
            assert!(parse(&fs::read_to_string(root.join(diff)).unwrap()).is_ok(), "{diff}");
        }
    }
}
