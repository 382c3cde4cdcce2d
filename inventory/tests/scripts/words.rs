//! The words of a script, as commands; and answers, as words.

use holdfast_inventory::commands::{
    Adjust, Amend, Cancel, Commit, Extend, Fulfil, IfExpired, Line, Picked, PutItem, PutLocation, Receive, Release,
    Reserve, Return, Set,
};
use holdfast_inventory::{
    Condition, ItemSpec, ItemStatus, LineUnits, LocationSpec, LogTime, Operation, Reservation, ReservationId, Revision,
    Slot, StockLevel, Success, Units,
};
use xxhash_rust::xxh3::xxh3_64;

/// The reservation of that name.
pub fn reservation(name: &str) -> ReservationId {
    ReservationId::mint(1_000_000, Slot::new(1).unwrap(), xxh3_64(name.as_bytes()))
}

/// `location ID [inactive]`, `item SKU [key=value …]`, `receive SKU LOCATION UNITS`, `adjust SKU LOCATION DELTA [condition]`,
/// `set SKU LOCATION ON_HAND REVISION`, `reserve NAME LINE… [ttl=S] [partial]` with lines `SKU@LOCATION:UNITS` and a `?`
/// behind what is optional, `amend NAME LINE…`, `extend NAME SECONDS`, `commit NAME [PART…] [last] [retake] [cancel_at=S]`
/// with parts `LINE:UNITS`, `release NAME`, `fulfil NAME [PART…]`, `cancel NAME`, `return NAME PART… [condition]`.
pub fn operation(words: &[&str]) -> Operation {
    match words {
        ["location", id, rest @ ..] => Operation::PutLocation(Box::new(PutLocation {
            location: id.parse().unwrap(),
            spec: LocationSpec { active: rest != ["inactive"], ..LocationSpec::default() },
            if_revision: None,
        })),
        ["item", sku, rest @ ..] => Operation::PutItem(Box::new(PutItem {
            sku: sku.parse().unwrap(),
            spec: item(rest),
            if_revision: None,
            if_absent: false,
        })),
        ["receive", sku, location, units] => Operation::Receive(Receive {
            sku: sku.parse().unwrap(),
            location: location.parse().unwrap(),
            lot: None,
            lot_spec: None,
            units: Units(units.parse().unwrap()),
            receipt: None,
        }),
        ["adjust", sku, location, delta, rest @ ..] => Operation::Adjust(Adjust {
            sku: sku.parse().unwrap(),
            location: location.parse().unwrap(),
            lot: None,
            delta: delta.parse().unwrap(),
            condition: condition(rest).unwrap_or(Condition::Resellable),
        }),
        ["set", sku, location, on_hand, revision] => Operation::Set(Set {
            sku: sku.parse().unwrap(),
            location: location.parse().unwrap(),
            lot: None,
            on_hand: on_hand.parse().unwrap(),
            if_revision: Revision(revision.parse().unwrap()),
        }),
        ["reserve", name, rest @ ..] => Operation::Reserve(Reserve {
            reservation: reservation(name),
            lines: lines(rest),
            ttl_s: value(rest, "ttl").unwrap_or(600) as u32,
            partial_ok: rest.contains(&"partial"),
            order_ref: None,
            customer: None,
            channel: None,
            campaign: None,
            plan: None,
            pass: None,
        }),
        ["amend", name, rest @ ..] => Operation::Amend(Amend { reservation: reservation(name), lines: lines(rest) }),
        ["extend", name, ttl_s] => {
            Operation::Extend(Extend { reservation: reservation(name), ttl_s: ttl_s.parse().unwrap() })
        }
        ["commit", name, rest @ ..] => Operation::Commit(Commit {
            reservation: reservation(name),
            parts: parts(rest),
            last: rest.contains(&"last"),
            if_expired: if rest.contains(&"retake") { IfExpired::Retake } else { IfExpired::Fail },
            cancel_at: value(rest, "cancel_at").map(|seconds| LogTime(seconds * 1_000)),
        }),
        ["release", name] => Operation::Release(Release { reservation: reservation(name) }),
        ["fulfil", name, rest @ ..] => Operation::Fulfil(Fulfil { reservation: reservation(name), parts: picks(rest) }),
        ["cancel", name] => Operation::Cancel(Cancel { reservation: reservation(name) }),
        ["return", name, rest @ ..] => Operation::Return(Return {
            reservation: reservation(name),
            parts: picks(rest),
            location: None,
            condition: condition(rest).unwrap_or(Condition::QualityControl),
        }),
        _ => panic!("no such command: {words:?}"),
    }
}

fn value(words: &[&str], key: &str) -> Option<u64> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).map(|value| value.parse().unwrap())
}

fn item(words: &[&str]) -> ItemSpec {
    ItemSpec {
        status: if words.contains(&"paused") { ItemStatus::Paused } else { ItemStatus::Active },
        tracked: !words.contains(&"untracked"),
        max_per_order: value(words, "max_per_order").map(|limit| limit as u32),
        max_hold_s: value(words, "max_hold_s").map(|limit| limit as u32),
        low_stock_threshold: value(words, "low_stock_threshold").unwrap_or(0),
        ..ItemSpec::default()
    }
}

fn lines(words: &[&str]) -> Vec<Line> {
    let of_line = |word: &&str| {
        let (sku, rest) = word.split_once('@')?;
        let (location, units) = rest.split_once(':').unwrap();
        Some(Line {
            sku: sku.parse().unwrap(),
            location: location.parse().unwrap(),
            units: Units(units.trim_end_matches('?').parse().unwrap()),
            lot: None,
            optional: units.ends_with('?'),
            no_backorder: false,
            min_units: None,
        })
    };
    words.iter().filter_map(of_line).collect()
}

fn parts(words: &[&str]) -> Vec<LineUnits> {
    let of_part = |word: &&str| {
        let (line, units) = word.split_once(':')?;
        Some(LineUnits { line: line.parse().unwrap(), units: Units(units.parse().unwrap()) })
    };
    words.iter().filter_map(of_part).collect()
}

fn picks(words: &[&str]) -> Vec<Picked> {
    parts(words).into_iter().map(|LineUnits { line, units }| Picked { line, units, lot: None }).collect()
}

fn condition(words: &[&str]) -> Option<Condition> {
    words.iter().find_map(|word| match *word {
        "resellable" => Some(Condition::Resellable),
        "damaged" => Some(Condition::Damaged),
        "quality_control" => Some(Condition::QualityControl),
        _ => None,
    })
}

pub fn success_text(success: &Success) -> String {
    let mut text = format!("revision {}, atp {}", success.revision, success.atp_after);
    if let Some(state) = success.state {
        text += &format!(", {state:?}");
    }
    if let Some(expires_at) = success.expires_at {
        text += &format!(" until {}", expires_at.0 / 1_000);
    }
    if let Some(held) = &success.held {
        text += &format!(", held {held:?}");
    }
    text
}

pub fn stock_text(level: &StockLevel) -> String {
    let (counts, flow) = (level.counts, level.flow);
    format!(
        "on_hand {} = free {} + reserved {} + committed {} + damaged {} + quality_control {}; atp {}; received {} + found {} + \
         returned {} - written_off {} - shipped {}",
        counts.on_hand,
        level.free,
        counts.reserved,
        counts.committed,
        counts.damaged,
        counts.quality_control,
        level.atp,
        flow.received,
        flow.found,
        flow.returned,
        flow.written_off,
        flow.shipped,
    )
}

pub fn reservation_text(reservation: &Reservation) -> String {
    let lines: Vec<String> = reservation
        .lines
        .iter()
        .map(|line| {
            let units = line.units;
            let counts = [
                ("held", units.held),
                ("committed", units.committed),
                ("fulfilled", units.fulfilled),
                ("cancelled", units.cancelled),
                ("released", units.released),
                ("expired", units.expired),
                ("returned", units.returned),
            ];
            let said = counts.iter().filter(|(_, units)| *units > 0);
            let said: Vec<String> = said.map(|(name, units)| format!("{name} {units}")).collect();
            format!("{}@{} {}", line.sku, line.location, said.join(" "))
        })
        .collect();
    format!("{:?}, revision {}: {}", reservation.state, reservation.revision, lines.join(", "))
}
