//! `holdfast reconcile --inbox`: the watcher of a folder.

use std::path::Path;

use holdfast_client::Client;
use holdfast_client::ids::CommandId;
use holdfast_world::World;
use serde_json::{Value, json};

use super::reconcile::{Job, Reconcile, read_bounded};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::reconcile::inbox::{Inbox, Outcome, Place, kind_of, move_to, write_report};

/// Exit codes from here on speak of the cluster rather than of the file.
const OF_THE_CLUSTER: u8 = 6;

/// What came of one file.
#[derive(PartialEq, Eq)]
enum Worked {
    /// Nothing is left to do about it.
    Clean,
    /// It was worked, and something differs still; or it could not be used.
    LeftOver,
}

/// Watches the folder, or looks once at all that is finished in it.
pub(super) async fn watch(verb: &Reconcile, dir: &Path, format: Format) -> Result<(), Failure> {
    let shown = dir.display();
    let unusable = |error: std::io::Error| Failure::usage(format!("the folder {shown} cannot be used: {error}"));
    let mut inbox = Inbox::open(dir).map_err(unusable)?;
    let lock = World::real().disk.lock_dir(dir).await;
    let _alone = lock.map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => {
            Failure::usage(format!("another watcher has {shown}")).hint("end it, or give each a folder of its own")
        }
        _ => unusable(error),
    })?;
    let client = verb.cluster.connect().await?;
    let mut left_over = 0;
    inbox.look().map_err(unusable)?;
    loop {
        tokio::time::sleep(verb.every).await;
        for file in inbox.look().map_err(unusable)? {
            match work(verb, &client, &inbox, &file, format).await {
                Ok(Worked::Clean) => {}
                Ok(Worked::LeftOver) => left_over += 1,
                // Of the cluster, or of the folder: the file stays, and is taken at a later look.
                Err(failure) if !verb.once => {
                    output::say(&failure.about(format!("{} stays for now", file.display())).to_string());
                    break;
                }
                Err(failure) => return Err(failure.about(file.display())),
            }
        }
        if verb.once {
            return match left_over {
                0 => Ok(()),
                left => Err(Failure::check(format!("{left} files differ from the books, or could not be used"))),
            };
        }
    }
}

/// Works one file, writes its report and moves it.
async fn work(
    verb: &Reconcile,
    client: &Client,
    inbox: &Inbox,
    file: &Path,
    format: Format,
) -> Result<Worked, Failure> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let of_folder = |error: std::io::Error| Failure::unavailable(format!("the folder: {error}"));
    let looks = || std::fs::metadata(file).map(|meta| (meta.len(), meta.modified().ok())).map_err(of_folder);
    let looked = looks()?;
    let (content, worked) = match read_bounded(file) {
        Ok(bytes) => {
            let content = CommandId::of_key(&String::from_utf8_lossy(&bytes));
            let place = inbox.place(&name, &content.to_string(), Outcome::Done).map_err(of_folder)?;
            if place.is_reported {
                // An earlier watcher came so far, and said what is left.
                return finish(file, &place, None, format);
            }
            let worked = match kind_of_file(verb, &name, &bytes) {
                Ok(kind) => {
                    let job = Job { client, file: content, name: &name, verb };
                    job.work(&bytes, kind).await.map(|report| (kind, report))
                }
                Err(failure) => Err(failure),
            };
            (content.to_string(), worked)
        }
        Err(failure) => (format!("unread {name}"), Err(failure)),
    };
    if looks()? != looked {
        // What would be moved away is not what was worked.
        return Err(Failure::unavailable("it has changed while it was worked"));
    }
    match worked {
        Ok((kind, report)) => {
            let place = inbox.place(&name, &content, Outcome::Done).map_err(of_folder)?;
            let mut told = json!({"file": name, "content": content, "kind": kind.name(), "apply": verb.apply});
            if let (Value::Object(told), Ok(Value::Object(report))) = (&mut told, serde_json::to_value(&report)) {
                told.extend(report);
            }
            finish(file, &place, Some(&told), format)
        }
        Err(failure) if failure.exit() >= OF_THE_CLUSTER => Err(failure),
        Err(failure) => {
            let place = inbox.place(&name, &content, Outcome::Failed).map_err(of_folder)?;
            let told = json!({"file": name, "content": content, "failed": failure.to_string()});
            finish(file, &place, Some(&told), format)
        }
    }
}

fn kind_of_file(verb: &Reconcile, name: &str, bytes: &[u8]) -> Result<crate::reconcile::Records, Failure> {
    if let Some(kind) = verb.kind {
        return Ok(kind);
    }
    let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    kind_of(name, &String::from_utf8_lossy(header)).map_err(|why| {
        let hint = "begin its name with counts, sales or shipments, or give `--kind` for the whole folder";
        Failure::usage(format!("what {name} says is not known: {why}")).hint(hint)
    })
}

/// Writes the report where there is a new one, moves the file, and tells of it.
fn finish(file: &Path, place: &Place, report: Option<&Value>, format: Format) -> Result<Worked, Failure> {
    let of_folder = |error: std::io::Error| Failure::unavailable(format!("the folder: {error}"));
    if let Some(report) = report {
        write_report(&place.report, report).map_err(of_folder)?;
    }
    move_to(file, &place.file).map_err(of_folder)?;
    let report: Value = match report {
        Some(report) => report.clone(),
        None => {
            std::fs::read(&place.report).ok().and_then(|read| serde_json::from_slice(&read).ok()).unwrap_or_default()
        }
    };
    tell(&place.file, &report, format);
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let is_clean = report.get("failed").is_none() && number("differing") == number("mended");
    Ok(if is_clean { Worked::Clean } else { Worked::LeftOver })
}

/// A line of each file; a JSON value a line for programs.
fn tell(file: &Path, report: &Value, format: Format) {
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let line = match (format, report.get("failed").and_then(Value::as_str)) {
        (Format::Json, _) => report.to_string(),
        (Format::Table, Some(why)) => format!("{}: {}", file.display(), why.replace('\n', "; ")),
        (Format::Table, None) => format!(
            "{}: {} rows, {} differ, {} mended",
            file.display(),
            number("rows"),
            number("differing"),
            number("mended")
        ),
    };
    output::print_line(&line);
}
