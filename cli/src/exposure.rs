//! Who can reach a node. Nobody is asked who he is yet: whoever reaches a listener may do everything, so that one beyond this machine is
//! opened only by who says so.

use holdfast_node::NodeConfig;

use crate::failure::Failure;

/// What a listener lets its callers do.
struct Open {
    name: &'static str,
    address: String,
    means: &'static str,
}

/// Refuses addresses that others than this machine can reach; where they are wanted, gives a line on each that says what is open.
pub fn check(config: &NodeConfig, is_insecure: bool) -> Result<Vec<String>, Failure> {
    let me = config.me();
    let listeners = [
        ("client", Some(&me.client), "every command and read"),
        ("peer", Some(&me.peer), "the logs of the cluster, and to speak as one of its nodes"),
        ("http", me.http.as_ref(), "every command and read of the REST API, health and metrics"),
    ];
    let open: Vec<Open> = listeners
        .into_iter()
        .filter_map(|(name, address, means)| Some(Open { name, address: address?.clone(), means }))
        .filter(|open| !is_loopback(&open.address))
        .collect();
    let lines = open.iter().map(|Open { name, address, means }| {
        format!("{name} on {address} is open to whoever reaches it, without a password or TLS: {means}")
    });
    match open.first() {
        Some(Open { name, address, .. }) if !is_insecure => Err(Failure::usage(format!(
            "{name} = \"{address}\" is reached from other machines, and nobody is asked who he is yet"
        ))
        .hint("keep to 127.0.0.1; or, in a network where you trust everybody, start it with `--insecure`")),
        _ => Ok(lines.collect()),
    }
}

/// Whether only this machine reaches it. A name is taken for an address of others, but `localhost`.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().map_or(bare.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use holdfast_node::config::Overrides;

    use super::*;

    fn config(http: &str) -> NodeConfig {
        let flags = Overrides { node_id: Some(1), ..Overrides::default() };
        let mut config =
            NodeConfig::from_text(include_str!("../../cluster.toml"), &flags).expect("the sample configuration");
        config.nodes[0].http = Some(http.to_owned());
        config
    }

    #[test]
    fn only_this_machine_reaches_a_loopback_address() {
        for loopback in ["127.0.0.1:7400", "127.8.0.1:1", "[::1]:7400", "localhost:7400"] {
            assert!(is_loopback(loopback), "{loopback}");
        }
        for other in ["0.0.0.0:7400", "[::]:7400", "10.0.0.7:7400", "shop.example:7400", "localhost.example:7400"] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn another_address_is_refused_unless_it_is_wanted_and_then_it_is_said_what_is_open() {
        assert!(check(&config("127.0.0.1:7601"), false).expect("nobody else").is_empty());
        let refused = check(&config("0.0.0.0:7601"), false).expect_err("others reach it");
        assert!(refused.to_string().contains("0.0.0.0:7601"), "{refused}");
        let said = check(&config("0.0.0.0:7601"), true).expect("it is wanted");
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("http on 0.0.0.0:7601 is open"), "{said:?}");
    }
}
