//! Kits, taken apart: recipes, and lines that name a revision of one.

use holdfast_inventory::commands::{AskedLine, KitOf, Line, Plan, PutKit};
use holdfast_inventory::{Component, MAX_COMPONENTS, Revision, Units};
use holdfast_proto::v1::{self, CommandError};
use holdfast_raft::encode::request_of;

use super::fields::{invalid, sku_at};

pub(super) fn put_kit(wire: v1::PutKit) -> Result<PutKit, CommandError> {
    let kit = wire.kit.ok_or_else(|| invalid("kit", "is missing", "send the kit with its SKU"))?;
    if wire.if_absent && wire.if_revision > 0 {
        return Err(invalid("if_revision", "is given with if_absent", "send one of them"));
    }
    if kit.components.len() > MAX_COMPONENTS {
        let problem = format!("has {} components", kit.components.len());
        return Err(invalid("components", &problem, &format!("1 to {MAX_COMPONENTS} components")));
    }
    let component = |(at, it): (usize, &v1::KitComponent)| {
        Ok(Component { sku: sku_at(|| format!("components[{at}].sku"), &it.sku)?, units: Units(it.units) })
    };
    Ok(PutKit {
        sku: sku_at(|| "kit.sku".to_owned(), &kit.sku)?,
        name: kit.name,
        components: kit.components.iter().enumerate().map(component).collect::<Result<_, CommandError>>()?,
        if_revision: (wire.if_revision > 0).then_some(Revision(wire.if_revision)),
        if_absent: wire.if_absent,
        backorder: kit.backorder,
    })
}

/// Lines of which some name the revision of a kit, as they were asked for; they are worked out before they reach the log
/// (`node/src/planning/`). `None` where none does.
pub(super) fn as_asked(wire: &[v1::Line], lines: &[Line]) -> Result<Option<Plan>, CommandError> {
    if wire.iter().all(|line| line.kit_revision == 0) {
        return Ok(None);
    }
    let pin = |line: &v1::Line| (line.kit_revision > 0).then_some(Revision(line.kit_revision));
    let pins: Vec<Option<Revision>> = wire.iter().map(pin).collect();
    let asked = |(line, pin): (&Line, &Option<Revision>)| AskedLine {
        units: line.units,
        optional: line.optional,
        kit: pin.map(|revision| KitOf { sku: line.sku.clone(), revision }),
        min_units: line.min_units,
    };
    Ok(Some(Plan {
        request: request_of(lines, &pins),
        asked: lines.iter().zip(&pins).map(asked).collect(),
        of: (0..lines.len() as u16).collect(),
        sourced: None,
        counters: Vec::new(),
    }))
}
