//! What the documents tell people to type is run, page by page, against a cluster of processes: a page that says what is not so does
//! not pass. What a page may say about a block of commands stands in docs/testing.md, "Documents that are run".

mod page;

use std::fs;
use std::io::Write as _;
use std::sync::Mutex;

use page::{Ground, Manner, Mark, Outcome, Page, broken_in, follow, pages_of, root};

/// What runbooks and pages of errors speak of, as far as it can be there at once.
const SHOP: &str = include_str!("page/shop.sh");

/// Tells how it went beside what the tests print, and fails where a page failed.
fn report(what: &str, outcomes: Vec<Outcome>) {
    let run: usize = outcomes.iter().map(|outcome| outcome.run).sum();
    let not_run: Vec<String> = outcomes.iter().flat_map(|outcome| outcome.not_run.clone()).collect();
    let failed: Vec<String> = outcomes.into_iter().filter_map(|outcome| outcome.failed).collect();
    let mut said = format!("{what}: {run} blocks of commands run, {} not run\n", not_run.len());
    for line in &not_run {
        said += &format!("  {line}\n");
    }
    // Shown also where the test passes.
    let _ = std::io::stderr().lock().write_all(said.as_bytes());
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Follows each page on a ground of its own, two at a time.
fn follow_all(what: &str, pages: Vec<Page>) {
    let wanted = std::env::var("HOLDFAST_DOCS_PAGE").unwrap_or_default();
    let pages: Vec<Page> = pages.into_iter().filter(|page| page.name.contains(&wanted)).collect();
    if pages.is_empty() {
        return;
    }
    let (queue, outcomes) = (Mutex::new(pages.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no page panics").next();
                    let Some(page) = next else { return };
                    let needs_cluster = page.blocks.iter().any(|block| !matches!(block.mark, Mark::NotRun(_)));
                    let ground =
                        if needs_cluster && !page.starts_a_cluster() { Ground::with_cluster() } else { Ground::bare() };
                    let outcome = follow(&page, Manner::Followed, &ground);
                    outcomes.lock().expect("no page panics").push(outcome);
                }
            });
        }
    });
    report(what, outcomes.into_inner().expect("no page panics"));
}

/// Follows pages that speak of situations which are not there, on one ground with a shop that has what they name.
fn ask_all(what: &str, pages: &[Page]) {
    let ground = Ground::with_cluster();
    fs::write(ground.work().join("shop.sh"), SHOP).expect("a file is written");
    let shop = ground.command("bash").args(["-euo", "pipefail", "shop.sh"]).output().expect("bash starts");
    assert!(shop.status.success(), "the shop: {}", String::from_utf8_lossy(&shop.stderr));
    report(what, pages.iter().map(|page| follow(page, Manner::Asked, &ground)).collect());
}

#[test]
fn the_way_in_can_be_followed() {
    let mut pages = vec![Page::read("README.md")];
    pages.extend(pages_of("docs"));
    follow_all("README.md and docs/", pages);
}

#[test]
fn how_tos_can_be_followed() {
    follow_all("docs/howto/", pages_of("docs/howto"));
}

#[test]
fn concepts_can_be_tried() {
    follow_all("docs/concepts/", pages_of("docs/concepts"));
}

#[test]
fn what_runbooks_and_error_pages_ask_a_cluster_is_answered() {
    ask_all("docs/runbooks/ and docs/errors/", &[pages_of("docs/runbooks"), pages_of("docs/errors")].concat());
}

#[test]
fn a_page_that_says_what_is_not_so_does_not_pass() {
    let failed = |text: &str| follow(&Page::of("page", text), Manner::Followed, &Ground::bare()).failed;
    let says = |text: &str, what: &str| failed(text).is_some_and(|said| said.contains(what));
    // Variables stay from one block to the next.
    let page = "# A page\n\n```sh\nx=1\n```\n\n```sh\necho \"x is $x\"\n```\n\n```text\n…\nx is 1\n```\n";
    assert_eq!(failed(page), None);
    assert!(says(&page.replace("x is 1", "x is 2"), "page:11: not in the output: x is 2"));
    assert!(says(&page.replace("x=1", "false"), "page:4: exit status 1: false"));
    assert!(says(&page.replace("echo", "false | echo"), "page:8: exit status 1"));
    let refused = "# A page\n\n<!-- exit status: 5 -->\n```sh\nbash -c 'exit 5'\n```\n";
    assert_eq!(failed(refused), None);
    assert!(says(&refused.replace("exit 5", "exit 4"), "it ended with 4, not with 5"));
    assert!(says(&refused.replace("exit 5", "exit 0"), "it ended with 0, not with 5"));
}

#[test]
fn each_link_leads_to_a_page_and_its_heading() {
    let folders = ["docs", "docs/howto", "docs/concepts", "docs/runbooks", "docs/errors", "docs/decisions"];
    let pages = folders.map(pages_of).concat();
    let names =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].into_iter().chain(pages.iter().map(|page| page.name.as_str()));
    let broken: Vec<String> = names.flat_map(broken_in).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn each_block_of_commands_is_run_but_for_those_that_say_why_not() {
    let pages =
        [vec![Page::read("README.md")], pages_of("docs"), pages_of("docs/howto"), pages_of("docs/concepts")].concat();
    for page in &pages {
        let text = fs::read_to_string(root().join(&page.name)).expect("a page");
        // What stands within a line speaks of a mark, and is none.
        let marks = |mark: &str| text.lines().filter(|line| line.trim_start().starts_with(mark)).count();
        let said = marks("<!-- not run:");
        let not_run = page.blocks.iter().filter(|block| matches!(block.mark, Mark::NotRun(_))).count();
        assert_eq!(said, not_run, "{}: a mark that is above no block", page.name);
        let fences = text.lines().filter(|line| line.trim() == "```sh").count();
        let setups = marks("<!-- setup");
        assert_eq!(page.blocks.len(), fences + setups, "{}: a block that is not seen", page.name);
    }
}
