//! The dashboard and the shop of the demo, as a person sees them: in a real browser, while a sale goes on and nodes are killed.

mod browser;
mod cluster;

use std::process::Stdio;

use browser::{Browser, Window};
use cluster::{Cluster, PATIENCE, Shop};
use holdfast_client::{Adjust, Client, ClientOptions, PutItem, Receive, v1};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The pages: what the address says, their heading, and what is true once they show what is so.
const PAGES: [(&str, &str, &str); 6] = [
    (
        "",
        "Overview",
        "document.querySelectorAll('.events li').length > 3 && document.querySelector('.plot canvas').width > 0",
    ),
    ("stock", "Stock", "document.querySelectorAll('tbody tr').length > 5 && !document.body.innerText.includes('…\\n')"),
    ("reservations", "Reservations", "document.querySelectorAll('tbody tr').length > 0"),
    (
        "sales",
        "Sales",
        "document.querySelector('.plot canvas').width > 0 && document.body.innerText.includes('None was ever opened')",
    ),
    ("problems", "Problems", "document.body.innerText.includes('None: every shard takes commands.')"),
    (
        "cluster",
        "Cluster and audit",
        "[...document.querySelectorAll('table')].length === 3 && document.querySelectorAll('tbody tr').length > 8",
    ),
];

/// The demo, as a newcomer starts it, with fewer customers; it ends with the test.
struct Demo {
    _process: Child,
    page: String,
    client: Client,
    _folder: TempDir,
}

/// Reads lines until one has that in it, and gives what stands behind.
async fn told(lines: &mut (impl AsyncRead + Unpin), before: &str) -> String {
    let mut lines = BufReader::with_capacity(1, lines).lines();
    let mut said = String::new();
    let looking = async {
        while let Some(line) = lines.next_line().await.expect("the demo's words are text") {
            if let Some((_, behind)) = line.split_once(before) {
                return behind.trim().to_owned();
            }
            said += &line;
            said.push('\n');
        }
        panic!("the demo ends without `{before}`:\n{said}");
    };
    timeout(2 * PATIENCE, looking).await.unwrap_or_else(|_| panic!("the demo never says `{before}`"))
}

impl Demo {
    /// Started, its first sale held and judged.
    async fn start() -> Self {
        let folder = TempDir::with_prefix("holdfast-test-").expect("a folder");
        let mut process = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(["demo", "--seconds", "3", "--customers", "60"])
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary under test starts");
        let mut words = process.stderr.take().expect("stderr is piped");
        let nodes = told(&mut words, "--addr ").await;
        let client = Client::connect(ClientOptions::new(nodes.split(','))).await;
        let page = told(&mut words, "the dashboard and the shop: ").await;
        // It goes on speaking.
        tokio::spawn(async move { tokio::io::copy(&mut words, &mut tokio::io::sink()).await });
        Self {
            _process: process,
            page: page.trim_end_matches('/').to_owned(),
            client: client.expect("the cluster is found"),
            _folder: folder,
        }
    }

    /// Has so many units of a SKU be available, and no more. `false`: somebody holds some, which may come back.
    async fn leave(&self, sku: &str, units: u64) -> bool {
        let stock = self.client.stock(sku, None).await.expect("the stock is read").value;
        let available = i64::try_from(stock.atp).expect("few");
        let by = i64::try_from(units).expect("few") - available;
        let done = by == 0 || self.client.adjust(Adjust::of(sku, by)).await.is_ok();
        let stock = self.client.stock(sku, None).await.expect("the stock is read").value;
        done && stock.atp == units && stock.levels.iter().all(|level| level.reserved == 0)
    }
}

/// Clicks the first element of a kind that says so; it is waited for.
async fn click(browser: &mut Browser, window: &Window, kind: &str, says: &str) {
    let found = format!(
        "[...document.querySelectorAll('{kind}')].find((it) => it.textContent.trim() === '{says}' && !it.disabled)"
    );
    browser.wait(window, &found, says).await;
    browser.value(window, &format!("{found}.click()")).await;
}

/// The number of a tile of the overview.
fn tile(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.tile')].find((it) => it.querySelector('dt').textContent === '{name}').querySelector('dd').textContent"
    )
}

async fn grows(browser: &mut Browser, window: &Window, number: &str, what: &str) {
    let before = browser.number(window, number).await;
    browser.wait(window, &format!("Number({number}.replaceAll(',', '')) > {before}"), what).await;
}

/// Walks every page by its link, in the colours and the width the window has.
async fn walk(browser: &mut Browser, window: &Window, how: &str) {
    for (name, title, shown) in PAGES {
        let heading = format!("document.querySelector('h1')?.textContent === '{title}'");
        // Each page's own: a sum over a whole walk would only tell how long it was.
        browser.value(window, "window.jumps = []; window.jumped = 0").await;
        click(browser, window, "#tabs a", title).await;
        browser.wait(window, &heading, &format!("{how}: {title}")).await;
        browser.wait(window, shown, &format!("{how}: {title} shows what is so")).await;
        assert_eq!(browser.value(window, "document.title").await, format!("{title} · Holdfast"));
        assert_eq!(browser.value(window, "location.hash").await, format!("#/{name}"));
        let beyond = browser.value(window, "document.documentElement.scrollWidth - innerWidth").await;
        assert!(beyond.as_f64() <= Some(0.0), "{how}: {title} is {beyond} pixels wider than the window");
        let jumped = browser.value(window, "window.jumped").await;
        let jumps = browser.value(window, "window.jumps").await;
        assert!(jumped.as_f64() < Some(0.1), "{how}: {title}: the layout jumps: {jumps:#}");
        let complaints = browser.complaints().await;
        assert!(complaints.is_empty(), "{how}: {title}: {complaints:?}");
    }
}

/// A keyboard is enough: the first Tab offers to skip the header, and the pages' links are next.
async fn walk_by_keyboard(browser: &mut Browser, window: &Window, page: &str) {
    browser.go(window, page).await;
    let focused = "document.activeElement.textContent.trim()";
    browser.wait(window, "document.querySelectorAll('#tabs a').length === 6", "the links").await;
    browser.press(window, "Tab").await;
    assert_eq!(browser.value(window, focused).await, "Skip to the page");
    for _ in 0..12 {
        browser.press(window, "Tab").await;
        if browser.value(window, focused).await == "Problems" {
            browser.press(window, "Enter").await;
            browser
                .wait(window, "document.querySelector('h1').textContent === 'Problems'", "Enter follows a link")
                .await;
            return;
        }
    }
    panic!("Tab does not come to the link of Problems");
}

/// From the table of SKUs to one of them and what happened to it, and from there to a reservation.
async fn look_into_one(browser: &mut Browser, window: &Window) {
    click(browser, window, "#tabs a", "Reservations").await;
    browser.wait(window, "document.querySelector('tbody a')", "somebody holds something").await;
    browser.value(window, "document.querySelector('tbody a').click()").await;
    let lines = "document.querySelectorAll('table')[0].querySelectorAll('tbody tr').length > 0 && document.querySelector('.pill:not(#standing)')";
    browser.wait(window, lines, "a reservation shows its lines and its state").await;
    browser.value(window, "document.querySelector('tbody a').click()").await;
    browser.wait(window, "location.hash.startsWith('#/stock?sku=')", "its SKU is a link").await;
    browser.wait(window, "document.querySelectorAll('.events li').length > 0", "what happened to the SKU").await;
}

/// A list is saved whole as one table: its pages are put together, and the names of the columns stand in it once.
async fn save_a_list(browser: &mut Browser, window: &Window) {
    click(browser, window, "#tabs a", "Stock").await;
    browser.wait(window, "document.querySelector('a[href^=\"/v1/events?\"]')", "lists are offered").await;
    // What would be a file is kept in the page.
    let keep = "void (() => {
        const [click, address] = [HTMLAnchorElement.prototype.click, URL.createObjectURL];
        URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return address.call(URL, blob); };
        HTMLAnchorElement.prototype.click = function () { if (this.download) window.savedAs = this.download; else click.call(this); };
    })()";
    browser.value(window, keep).await;
    click(browser, window, "p a", "events").await;
    browser.wait(window, "window.saved && window.savedAs", "the list is saved").await;
    assert_eq!(browser.value(window, "window.savedAs").await, "holdfast-events.csv");
    let rows = browser.number(window, "String(window.saved.trim().split('\\r\\n').length)").await;
    let names = browser.number(window, "String(window.saved.split('shard,seq,time_ms').length - 1)").await;
    assert!(rows > 10.0 && (names - 1.0).abs() < f64::EPSILON, "{rows} rows, {names} times the names");
}

/// Both windows want the last unit of a product in the same moment: one gets it, and the other is told.
async fn race_for_the_last_unit(browser: &mut Browser, demo: &Demo, windows: [&Window; 2]) {
    browser.go(windows[0], &format!("{}/shop", demo.page)).await;
    let products = "fetch('/shop/api/products').then((it) => it.json()).then((it) => it.products)";
    let products = browser.value(windows[0], products).await;
    let held = "!document.getElementById('bag').hidden";
    let late = "document.getElementById('banner').textContent.includes('somebody was faster')";
    // Customers look by meanwhile: where one of them took the last unit, the next product's is raced for.
    for product in products.as_array().expect("products").iter().rev() {
        let (name, sku) = (&product["name"], product["sku"].as_str().expect("a SKU"));
        let of_name = format!("(it) => it.querySelector('strong').textContent === {name}");
        let place = format!("[...document.querySelectorAll('#shelf li')].find({of_name})");
        if !demo.leave(sku, 0).await {
            continue;
        }
        for window in windows {
            browser.go(window, &format!("{}/shop", demo.page)).await;
            browser.wait(window, "document.querySelectorAll('#shelf li').length === 23", "the shelf").await;
        }
        for window in windows {
            browser.wait(window, &format!("{place}.textContent.includes('Sold out')"), "nothing is left").await;
        }
        if !demo.leave(sku, 1).await {
            continue;
        }
        for window in windows {
            browser.wait(window, &format!("{place}.textContent.includes('Restocked')"), "it is there again").await;
        }
        let at = browser.value(windows[0], "Date.now() + 1000").await;
        for window in windows {
            let click = format!("setTimeout(() => {place}.querySelector('button').click(), {at} - Date.now())");
            browser.value(window, &click).await;
        }
        for window in windows {
            browser.wait(window, &format!("{held} || {late}"), "the window has it, or is told").await;
        }
        let mut winners = Vec::new();
        for window in windows {
            winners.extend((browser.value(window, held).await == true).then_some(window));
        }
        assert!(winners.len() < 2, "the last unit is held twice");
        let Some(winner) = winners.pop() else { continue };
        let counts_down = "document.getElementById('bag').textContent.includes(' for 1:5')";
        browser.wait(winner, counts_down, "the hold counts down from two minutes").await;
        click(browser, winner, "#bag button", "Pay").await;
        let paid = "document.getElementById('banner').textContent === 'Thank you: it is yours.'";
        browser.wait(winner, paid, "it is paid").await;
        // To the one who came late a request was refused: the console says that too.
        let complaints = browser.complaints().await;
        assert!(complaints.iter().all(|it| it.contains("/v1/reservations") && it.contains("409")), "{complaints:?}");
        return;
    }
    panic!("somebody else was faster at every product");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_shows_a_sale_and_the_node_that_is_killed_in_it_and_no_console_complains() {
    let Some(mut browser) = Browser::start().await else { return };
    let demo = Demo::start().await;
    let window = browser.open(1_280).await;
    browser.go(&window, &demo.page).await;
    browser.wait(&window, "location.pathname.startsWith('/ui')", "/ leads to the dashboard").await;
    let standing = "document.getElementById('standing').textContent";
    browser.wait(&window, &format!("{standing} === '3 of 3 nodes, can lose 1'"), "how the cluster stands").await;

    click(&mut browser, &window, "button", "Start a sale").await;
    browser.wait(&window, "document.body.innerText.includes('new lipsticks come in')", "a sale begins").await;
    for number in ["Sold", "Commands/s"] {
        browser.wait(&window, &format!("Number({}.replaceAll(',', '')) > 0", tile(number)), number).await;
    }
    grows(&mut browser, &window, &tile("Sold"), "more is sold").await;
    walk(&mut browser, &window, "light").await;
    look_into_one(&mut browser, &window).await;
    save_a_list(&mut browser, &window).await;
    browser.colours(&window, "dark").await;
    browser.resize(&window, 420).await;
    walk(&mut browser, &window, "dark, on a phone").await;
    walk_by_keyboard(&mut browser, &window, &demo.page).await;

    browser.resize(&window, 1_280).await;
    click(&mut browser, &window, "#tabs a", "Overview").await;
    click(&mut browser, &window, "button", "Kill a node").await;
    browser
        .wait(&window, &format!("{standing} === '2 of 3 nodes, can lose 0'"), "the page says that a node is down")
        .await;
    browser.wait(&window, "document.body.innerText.includes(': down')", "and which").await;
    click(&mut browser, &window, "#tabs a", "Cluster and audit").await;
    browser.wait(&window, "document.body.innerText.includes('● down')", "the page of the cluster says it too").await;
    browser.wait(&window, &format!("{standing} === '3 of 3 nodes, can lose 1'"), "it comes back").await;
    click(&mut browser, &window, "#tabs a", "Overview").await;
    grows(&mut browser, &window, &tile("Sold"), "customers go on").await;
    assert_eq!(browser.value(&window, &tile("Oversold")).await, "0");
    let marks =
        "fetch('/ui/api/overview').then((it) => it.json()).then((it) => it.marks.map((mark) => mark.what).join('; '))";
    let marks = browser.value(&window, marks).await.to_string();
    assert!(marks.contains("node ") && marks.contains(" ms"), "the curve marks the kill and its gap: {marks}");
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");

    let other = browser.open(420).await;
    race_for_the_last_unit(&mut browser, &demo, [&window, &other]).await;

    browser.go(&window, &format!("{}/docs", demo.page)).await;
    browser
        .wait(&window, "document.querySelectorAll('#operations details').length > 60", "the reference of the REST API")
        .await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_cluster_has_lost_its_quorum_shows_what_its_node_knows_and_says_how_old_it_is() {
    let Some(mut browser) = Browser::start().await else { return };
    let mut cluster = Cluster::with_http(&[]).await;
    let client = Shop::client(&cluster).await;
    let item = v1::Item { sku: "ROSE".to_owned(), name: "<b>Rose</b>".to_owned(), ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    client.receive(Receive::of("ROSE", 5)).await.expect("units are received");

    let window = browser.open(1_280).await;
    let page = format!("http://{}", cluster.http(1).address);
    browser.go(&window, &page).await;
    browser.wait(&window, "document.getElementById('standing').textContent.startsWith('3 of 3')", "all are well").await;
    cluster.kill(2);
    cluster.kill(3);
    browser
        .wait(&window, "document.getElementById('standing').textContent === '1 of 3 nodes, no quorum'", "no quorum")
        .await;
    let banner = "document.getElementById('banner').textContent";
    browser.wait(&window, &format!("{banner}.includes('nothing is sold there')"), "what that means").await;
    let age = format!("Number({banner}.match(/as it was (\\d+) s ago/)[1])");
    browser.wait(&window, &format!("{age} > 1"), "how old it is").await;
    browser.complaints().await;
    for (_, title, _) in PAGES {
        click(&mut browser, &window, "#tabs a", title).await;
        browser.wait(&window, &format!("document.querySelector('h1')?.textContent === '{title}'"), title).await;
        browser.wait(&window, "document.querySelectorAll('.card').length > 0", title).await;
    }
    click(&mut browser, &window, "#tabs a", "Stock").await;
    let units =
        "[...document.querySelectorAll('tbody tr')].find((it) => it.textContent.includes('ROSE')).cells[2].textContent";
    browser.wait(&window, &format!("{units} === '5'"), "the node's own copy").await;
    // What somebody wrote into a name is text to the page.
    browser.go(&window, &format!("{page}/ui/#/stock?sku=ROSE")).await;
    browser.wait(&window, "document.querySelector('h1').textContent.includes('<b>Rose</b>')", "a name is a name").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");

    cluster.kill(1);
    browser
        .wait(&window, "document.getElementById('standing').textContent === 'not reached'", "the node is gone")
        .await;
    browser.wait(&window, &format!("{banner}.includes('does not answer')"), "the page says so").await;
    cluster.start_all();
    browser
        .wait(&window, "document.getElementById('standing').textContent.startsWith('3 of 3')", "and goes on by itself")
        .await;
    browser.wait(&window, "document.getElementById('banner').hidden", "with nothing to say").await;
}
