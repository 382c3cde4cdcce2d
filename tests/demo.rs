//! The demo, as a newcomer runs it.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// A demo looks which ports are free and takes them a moment later: two that start at once may choose the same.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The report of a demo that went well, and what it said meanwhile.
fn report_of(arguments: &[&str]) -> (Value, String) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let demo = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .arg("demo")
        .args(arguments)
        .args(["--exit", "-o", "json"])
        .output()
        .expect("the demo runs");
    let said = String::from_utf8_lossy(&demo.stderr).into_owned();
    assert!(demo.status.success(), "{said}\n{}", String::from_utf8_lossy(&demo.stdout));
    (serde_json::from_slice(&demo.stdout).expect("the report is JSON"), said)
}

#[test]
fn gift_sets_over_many_shards_are_sold_whole_while_nodes_are_killed() {
    let (report, said) = report_of(&["--scenario", "gift-sets", "--seconds", "8", "--customers", "100"]);
    for nothing in ["half_taken", "holds_left", "oversold", "lost", "duplicated", "unbalanced_skus"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}\n{said}");
    }
    assert_eq!((&report["kills"], &report["replicas_identical"]), (&Value::from(2), &Value::from(true)), "{report}");
    assert!(report["sold"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_drop_is_sold_out_to_those_who_were_drawn_one_unit_each_while_nodes_are_killed() {
    let (report, said) = report_of(&["--scenario", "drop", "--customers", "600"]);
    for nothing in ["customers_over_limit", "holds_left", "oversold", "lost", "duplicated", "unbalanced_skus"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}\n{said}");
    }
    assert_eq!((&report["sold"], &report["units"], &report["kills"]), (&30.into(), &30.into(), &2.into()), "{report}");
    assert_eq!((&report["lottery_verified"], &report["replicas_identical"]), (&true.into(), &true.into()), "{report}");
    let without_token = report["refused_by_reason"]["ADMISSION_TOKEN_INVALID"].as_u64();
    assert!(without_token >= Some(600), "{report}");
}

#[test]
fn a_recall_names_every_order_that_had_units_of_the_lot_while_a_node_is_killed() {
    let (report, said) = report_of(&["--scenario", "recall", "--orders", "200"]);
    for nothing in ["missed", "wrongly_named", "oversold", "lost", "duplicated", "unbalanced_skus"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}\n{said}");
    }
    assert_eq!((&report["kills"], &report["replicas_identical"]), (&Value::from(1), &Value::from(true)), "{report}");
    assert!(report["orders"].as_u64() >= Some(200), "{report}");
    assert_eq!(report["named"], report["orders"], "{report}\n{said}");
    assert!(report["recalled_on_shards"].as_u64() > Some(1), "{report}");
}

#[test]
fn a_sale_day_from_plan_to_report_sells_what_was_paid_for_and_nothing_else() {
    let (report, said) = report_of(&["--scenario", "sale-day", "--seconds", "8", "--customers", "160"]);
    for nothing in ["sold_and_not_paid", "paid_and_not_sold", "still_stuck", "reconcile_left"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}\n{said}");
    }
    for nothing in ["oversold", "lost", "duplicated", "unbalanced_skus"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}\n{said}");
    }
    for proved in ["planned", "sale_verified", "audit_verified", "proof_checked", "replicas_identical"] {
        assert_eq!(report[proved], true, "{proved}: {report}\n{said}");
    }
    assert_eq!((&report["kills"], &report["written_off_by_count"]), (&Value::from(1), &Value::from(3)), "{report}");
    assert_eq!((&report["reconcile_differing"], &report["reconcile_mended"]), (&Value::from(1), &Value::from(1)));
    assert!(report["never_answered"].as_u64() > Some(0), "{report}");
    assert_eq!(report["listed_as_stuck"], report["never_answered"], "{report}\n{said}");
    assert_eq!(report["sold"], report["confirmed"], "{report}\n{said}");
    assert!(report["sold"].as_u64() > Some(0), "{report}");
}
