//! The rules told as scripts: each file under `inventory/scripts/` opens with its aim, then come commands in the domain's
//! words, each followed by the expected answer (`=` done, `!` refused) and events (`~`).
//!
//! `HOLDFAST_REWRITE=1 cargo test -p holdfast-inventory --test scripts` writes the answers anew. A changed line is committed
//! only by one who can say why.

#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

mod words;

use std::fmt::Write as _;
use std::path::Path;

use holdfast_inventory::{
    Answer, Applied, BodyHash, Command, CommandId, Entry, Inventory, Limits, LocationId, LogTime, Sku, invariants,
};
use xxhash_rust::xxh3::xxh3_128;

/// One script on its way.
struct Run {
    inventory: Inventory,
    now_s: u64,
    /// Commands of a chain that is not complete yet.
    chain: Vec<Command>,
    told: String,
}

impl Run {
    fn new() -> Self {
        Self { inventory: Inventory::new(Limits::default()), now_s: 1_000, chain: Vec::new(), told: String::new() }
    }

    fn line(&mut self, line: &str) {
        writeln!(self.told, "{line}").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] | ["#", ..] => {}
            ["at", seconds] => {
                self.now_s = seconds.parse().unwrap();
                self.apply(Vec::new());
            }
            ["show", "stock", sku, location] => self.show_stock(sku, location),
            ["show", "reservation", name] => {
                let found = self.inventory.reservation(words::reservation(name));
                let shown = found.map_or("none".to_owned(), |reservation| words::reservation_text(&reservation));
                writeln!(self.told, "= {shown}").unwrap();
            }
            _ => self.command(line, &words),
        }
    }

    /// A command; `link` before it ties it to the next, `id NAME` gives it an id of its own choice.
    fn command(&mut self, line: &str, words: &[&str]) {
        let (linked, words) = match words {
            ["link", words @ ..] => (true, words),
            words => (false, words),
        };
        let (id, words) = match words {
            ["id", name, words @ ..] => (xxh3_128(name.as_bytes()), words),
            words => (xxh3_128(format!("{}{}{line}", self.told.len(), self.now_s).as_bytes()), words),
        };
        let body = BodyHash(xxh3_128(words.join(" ").as_bytes()));
        let operation = words::operation(words);
        let minted_at = LogTime(self.now_s * 1_000);
        self.chain.push(Command { id: CommandId(id), minted_at, keyed: false, body, linked, cause: None, operation });
        if !linked {
            let chain = std::mem::take(&mut self.chain);
            self.apply(chain);
        }
    }

    fn apply(&mut self, commands: Vec<Command>) {
        let mut applied = Applied::default();
        self.inventory.apply(&Entry { time: LogTime(self.now_s * 1_000), commands }, &mut applied);
        assert_eq!(invariants::check(&self.inventory), []);
        for Answer { outcome, replayed, .. } in &applied.answers {
            let again = if *replayed { "again: " } else { "" };
            match outcome {
                Ok(success) => writeln!(self.told, "= {again}{}", words::success_text(success)),
                Err(refusal) => writeln!(self.told, "! {again}{refusal}"),
            }
            .unwrap();
        }
        for event in &applied.events {
            writeln!(self.told, "~ {}", event.body.kind).unwrap();
        }
    }

    fn show_stock(&mut self, sku: &str, location: &str) {
        let (sku, location): (Sku, LocationId) = (sku.parse().unwrap(), location.parse().unwrap());
        let levels = self.inventory.stock(&sku).unwrap_or_default();
        let level = levels.into_iter().find(|level| level.location == location);
        writeln!(self.told, "= {}", level.map_or("none".to_owned(), |level| words::stock_text(&level))).unwrap();
    }
}

fn tell(script: &str) -> String {
    let mut run = Run::new();
    for line in script.lines().filter(|line| !line.starts_with(['=', '!', '~'])) {
        run.line(line);
    }
    assert!(run.chain.is_empty(), "the last chain has no end");
    run.told
}

#[test]
fn every_script_is_answered_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        assert!(script.starts_with("# "), "{} opens with its aim", path.display());
        let told = tell(&script);
        if std::env::var_os("HOLDFAST_REWRITE").is_some() {
            std::fs::write(&path, told).unwrap();
        } else {
            assert_eq!(told, script, "{}", path.display());
        }
    }
}
