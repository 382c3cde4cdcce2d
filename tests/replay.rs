//! A shop's trace played against real processes: packed or not, whole or not.

mod cluster;

use std::io::Write as _;

use cluster::Cluster;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

/// Every kind of event, and two rows that are dirty, in lines 5 and 9.
const TRACE: &str = "event_time,event_type,product_id,price,user_session\n\
    2019-10-01 00:00:00 UTC,view,A,1.5,s\n\
    2019-10-01 00:00:00 UTC,cart,A,1.5,s\n\
    2019-10-01 00:00:00 UTC,purchase,A,1.5,s\n\
    2019-10-01 00:00:00 UTC,stare,A,1.5,s\n\
    2019-10-01 00:00:00 UTC,cart,B,1.5,s\n\
    2019-10-01 00:00:00 UTC,remove_from_cart,B,1.5,s\n\
    2019-10-01 00:00:00 UTC,remove_from_cart,B,1.5,s\n\
    2019-10-01 00:00:00 UTC,view\n\
    2019-10-01 00:00:00 UTC,purchase,B,1.5,t\n";

#[tokio::test]
async fn a_packed_trace_gives_the_report_of_the_plain_one_and_a_cut_one_is_refused_by_its_name() {
    let mut cluster = Cluster::prepared(1, &[]);
    cluster.start_all();
    cluster.wait_ready().await;
    let file = |name: &str, bytes: &[u8]| {
        let path = cluster.path().join(name);
        std::fs::write(&path, bytes).expect("the file is written");
        path.to_str().expect("the path is UTF-8").to_owned()
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(TRACE.as_bytes()).expect("memory is written");
    let packed = encoder.finish().expect("memory is written");
    let mut reports = Vec::new();
    for file in [file("trace.csv", TRACE.as_bytes()), file("trace.csv.gz", &packed)] {
        let (exit, report, said) = cluster.holdfast(&["replay", &file, "--stock", "5", "--speed", "9"]).await;
        assert_eq!(exit, 0, "{said}");
        for dirty in [":5: unknown_event: stare", ":9: missing_columns: 2019-10-01 00:00:00 UTC,view"] {
            assert!(said.contains(&format!("{file}{dirty}")), "{said}");
        }
        let mut report: Value = serde_json::from_str(&report).expect("JSON");
        report.as_object_mut().and_then(|report| report.remove("seconds")).expect("how long it took");
        reports.push(report);
    }
    assert_eq!(reports[0], reports[1]);
    assert_eq!((&reports[0]["rows"], &reports[0]["sold"]), (&Value::from(9), &Value::from(2)));

    let cut = file("cut.csv.gz", &packed[..packed.len() - 9]);
    let (exit, report, said) = cluster.holdfast(&["replay", &cut]).await;
    assert_eq!((exit, report.as_str()), (2, ""), "{said}");
    assert!(said.contains(&cut) && said.contains("gzip data is cut off") && said.contains("hint: fetch"), "{said}");

    let (exit, report, said) =
        cluster.holdfast(&["replay", &file("header.csv", TRACE.lines().next().unwrap_or_default().as_bytes())]).await;
    assert_eq!(exit, 0, "{said}");
    assert_eq!(serde_json::from_str::<Value>(&report).expect("JSON")["rows"], 0);
}
