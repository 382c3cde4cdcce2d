//! How fields are called over REST where the wire calls them otherwise: what a node says is wrong names a part of its own messages, and the
//! caller of REST knows the path, the query, the headers and the body.

/// A field of the wire as it is called over REST.
pub(crate) fn of_rest(field: &str) -> String {
    let (first, rest) = field.split_once('.').unwrap_or((field, ""));
    match (first, rest) {
        ("minted_at_ms" | "command_id" | "own_key", "") => crate::idempotency::KEY_HEADER.to_owned(),
        ("page_token" | "after_sku", "") => "cursor".to_owned(),
        ("consistency", _) => "Holdfast-At-Least".to_owned(),
        // In the query kinds stand with commas between.
        ("filter", kinds) if kinds.starts_with("kinds") => "kind".to_owned(),
        ("time_ms", "") => "as_of_ms".to_owned(),
        ("report" | "answer", "") => "done".to_owned(),
        ("window", "") => "window_s".to_owned(),
        ("supplier_lot" | "best_before", "") => format!("lot.{first}"),
        ("manufactured_at", "") => "lot.manufactured_on".to_owned(),
        ("expires_at", "") => "lot.expires_on".to_owned(),
        (_, "step") if first.starts_with("steps[") => format!("{first}.name"),
        // What a message has one of, the path and the body have the parts of.
        ("item" | "location" | "channel" | "campaign" | "endpoint" | "limit" | "kit" | "filter", _)
            if !rest.is_empty() =>
        {
            rest.to_owned()
        }
        _ => field.to_owned(),
    }
}

/// What is said of a field of the wire, with the name that it has over REST where the sentence begins with it.
pub(crate) fn said_of(field: &str, detail: String) -> (String, String) {
    let named = of_rest(field);
    match detail.strip_prefix(field) {
        Some(rest) if !field.is_empty() && rest.starts_with(' ') => (named.clone(), format!("{named}{rest}")),
        _ => (named, detail),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// What nodes name: each that a request over REST can come by.
    const OF_THE_WIRE: [&str; 73] = [
        "admission_token",
        "after_sku",
        "answer",
        "attributes_json",
        "backorder",
        "best_before",
        "campaign.admission",
        "campaign.campaign_id",
        "campaign.ends_at_ms",
        "campaign_id",
        "cancel_at_ms",
        "cause.actor",
        "channel",
        "channel.buffer",
        "channel.channel_id",
        "channel.location_ids",
        "channel.location_ids[1]",
        "channel_id",
        "command_id",
        "commitment",
        "components[0].sku",
        "consistency.at_least",
        "count_id",
        "customer",
        "discrepancy",
        "endpoint.endpoint_id",
        "endpoint.fallback_answer",
        "endpoint.timeout_ms",
        "endpoint.url",
        "expires_at",
        "filter.actor",
        "filter.kinds[0]",
        "filter.reference",
        "filter.sku",
        "filter.until_ms",
        "from",
        "if_revision",
        "item.attributes_json",
        "item.backorder.cap",
        "item.max_hold_s",
        "item.sku",
        "item.status",
        "kit.sku",
        "limit",
        "limit.limit_id",
        "limit.skus",
        "limit.skus[1]",
        "limit.units",
        "limit.window_s",
        "lines[0].kit_revision",
        "lines[0].lot_id",
        "lines[0].min_units",
        "lines[0].units",
        "location.kind",
        "location.location_id",
        "location.name",
        "location.time_zone",
        "lot.expires_on",
        "lot_id",
        "manufactured_at",
        "minted_at_ms",
        "order_ref",
        "page_token",
        "report",
        "seed",
        "seq",
        "sourcing.nearest[1]",
        "sourcing.strategy",
        "steps[0].compensation_endpoint",
        "steps[1].step",
        "supplier_lot",
        "time_ms",
        "window",
    ];

    fn names(said: &Value, found: &mut BTreeSet<String>) {
        match said {
            Value::Object(fields) => {
                if let Some(Value::Object(properties)) = fields.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                if fields.contains_key("in")
                    && let Some(Value::String(name)) = fields.get("name")
                {
                    found.insert(name.clone());
                }
                fields.values().for_each(|value| names(value, found));
            }
            Value::Array(entries) => entries.iter().for_each(|entry| names(entry, found)),
            _ => {}
        }
    }

    #[test]
    fn what_a_node_says_is_wrong_is_a_field_that_the_document_has() {
        let mut known = BTreeSet::new();
        names(&serde_json::from_str(crate::api::openapi()).expect("it is JSON"), &mut known);
        for field in OF_THE_WIRE {
            let named = of_rest(field);
            for part in named.split('.') {
                let name = part.split('[').next().unwrap_or_default();
                assert!(known.contains(name), "{field} is {named}: the document has no {name}");
            }
        }
    }

    #[test]
    fn a_field_is_called_what_the_body_the_query_or_the_headers_call_it() {
        for (wire, rest) in [
            ("item.backorder.cap", "backorder.cap"),
            ("filter.kinds[0]", "kind"),
            ("filter.until_ms", "until_ms"),
            ("channel", "channel"),
            ("limit", "limit"),
            ("lot.expires_on", "lot.expires_on"),
            ("steps[2].step", "steps[2].name"),
            ("lines[0].sku", "lines[0].sku"),
            ("minted_at_ms", "Idempotency-Key"),
        ] {
            assert_eq!(of_rest(wire), rest);
        }
        let said = said_of("campaign.ends_at_ms", "campaign.ends_at_ms is 5; later".to_owned());
        assert_eq!(said, ("ends_at_ms".to_owned(), "ends_at_ms is 5; later".to_owned()));
        assert_eq!(said_of("", "so".to_owned()), (String::new(), "so".to_owned()));
    }
}
