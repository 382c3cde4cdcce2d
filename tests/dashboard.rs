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
        "[...document.querySelectorAll('{kind}')].find((it) => it.textContent.trim() === '{says}' && !it.disabled && it.ariaDisabled !== 'true')"
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
        is_calm(browser, window, &format!("{how}: {title}")).await;
    }
}

/// What is in the window is no wider than it, has not jumped, and the console is silent.
async fn is_calm(browser: &mut Browser, window: &Window, what: &str) {
    let beyond = browser.value(window, "document.documentElement.scrollWidth - innerWidth").await;
    assert!(beyond.as_f64() <= Some(0.0), "{what} is {beyond} pixels wider than the window");
    let jumped = browser.value(window, "window.jumped").await;
    let jumps = browser.value(window, "window.jumps").await;
    assert!(jumped.as_f64() < Some(0.1), "{what}: the layout jumps: {jumps:#}");
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{what}: {complaints:?}");
}

/// Looks at the shop in the colours and the width the window has.
async fn look_at_the_shop(browser: &mut Browser, window: &Window, page: &str, how: &str) {
    browser.go(window, &format!("{page}/shop")).await;
    browser.wait(window, "document.querySelectorAll('#shelf li').length === 23", "the shelf").await;
    let told = "!document.getElementById('hot-left').textContent.includes('…') && !document.getElementById('shelf').textContent.includes('…')";
    browser.wait(window, told, "what there is of everything").await;
    is_calm(browser, window, &format!("{how}: the shop")).await;
}

/// Who presses slowly, and who presses twice, gets one unit as well, though what there is changes meanwhile; a screen reader is not told
/// of every unit; and an answer that was not heard does not empty the bag.
async fn press_slowly_in_the_shop(browser: &mut Browser, demo: &Demo, window: &Window) {
    look_at_the_shop(browser, window, &demo.page, "a slow hand").await;
    let products = "fetch('/shop/api/products').then((it) => it.json()).then((it) => it.products)";
    let products = browser.value(window, products).await;
    let hot = products.as_array().and_then(|all| all.iter().find(|it| it["hot"] == true)).expect("the hot one");
    let hot = hot["sku"].as_str().expect("a SKU").to_owned();
    let text = |id: &str| format!("document.getElementById('{id}').textContent");
    let button = |id: &str| format!("document.getElementById('{id}')");
    let (left, counts, said) = (text("hot-left"), text("bag-left"), text("said"));
    let held = "!document.getElementById('bag-held').hidden";
    let ready = "document.getElementById('hot-take').ariaDisabled === 'false'";
    let more = async |units| drop(demo.client.receive(Receive::of(&*hot, units)).await.expect("more come in"));
    more(20).await;
    browser.wait(window, ready, "there is some").await;

    // By mouse: between down and up what there is of it is another, and the bag counts down.
    let at = browser.mouse_down(window, &button("hot-take")).await;
    for _ in 0..2 {
        let before = browser.value(window, &left).await;
        more(1).await;
        browser.wait(window, &format!("{left} !== {before}"), "what there is, is told").await;
    }
    browser.mouse_up(window, at).await;
    browser.wait(window, held, "a slow press holds one").await;
    let at = browser.mouse_down(window, &button("give-back")).await;
    for _ in 0..2 {
        let before = browser.value(window, &counts).await;
        browser.wait(window, &format!("{counts} !== {before}"), "the bag counts down").await;
    }
    browser.mouse_up(window, at).await;
    browser.wait(window, &format!("{said} === 'Given back.'"), "a slow press gives it back").await;

    // By keyboard: the focus goes to the bag, and stays while it counts down.
    browser.wait(window, ready, "there is some").await;
    browser.value(window, "document.querySelector('.bar-link').focus()").await;
    browser.press(window, "Tab").await;
    let focused = "document.activeElement.id";
    assert_eq!(browser.value(window, focused).await, "hot-take");
    browser.press(window, "Enter").await;
    browser.wait(window, &format!("{held} && {focused} === 'pay'"), "Enter holds one, and paying is next").await;
    browser.press(window, "Tab").await;
    for _ in 0..2 {
        let before = browser.value(window, &counts).await;
        browser.wait(window, &format!("{counts} !== {before}"), "the bag counts down").await;
    }
    assert_eq!(browser.value(window, focused).await, "give-back");
    // The first answer is lost on its way: the hold stays in the bag, and the second press asks under the same key.
    let lose_one = "void (() => {
        const real = window.fetch;
        window.asked = [];
        window.fetch = (address, options) => {
            if (options?.method === 'POST') window.asked.push([address, options.headers['Idempotency-Key']]);
            if (!String(address).endsWith(':release') || window.asked.length > 1) return real(address, options);
            return Promise.resolve(new Response('{\"detail\":\"lost\",\"retry\":\"same_key\",\"effect\":\"unknown\"}', { status: 503 }));
        };
    })()";
    browser.value(window, lose_one).await;
    browser.press(window, "Enter").await;
    browser.wait(window, &format!("{said}.includes('press again')"), "it is not known yet").await;
    assert_eq!(browser.value(window, held).await, true, "the bag keeps what may still be held");
    browser.press(window, "Enter").await;
    browser.wait(window, &format!("{said} === 'Given back.'"), "it is given back").await;
    let same = "window.asked.length === 2 && window.asked[0].join() === window.asked[1].join()";
    assert_eq!(browser.value(window, same).await, true, "under one key");
    assert_eq!(browser.value(window, focused).await, "hot-take", "the focus goes back to where it came from");

    // Two presses at once are one hold.
    browser.wait(window, ready, "there is some").await;
    browser
        .value(
            window,
            "window.asked = []; for (let at = 0; at < 2; at += 1) document.getElementById('hot-take').click()",
        )
        .await;
    browser.wait(window, held, "one is held").await;
    assert_eq!(browser.value(window, "window.asked.length").await, 1);
    let heard = "['bag-left', 'hot-left'].every((id) => !document.getElementById(id).closest('[aria-live], [role=status], [role=alert]'))";
    assert_eq!(browser.value(window, heard).await, true, "what changes all the time is not read out");
    click(browser, window, "#bag button", "Give back").await;
    browser.wait(window, &format!("{said} === 'Given back.'"), "it is given back").await;
    browser.complaints().await;
}

/// What is shown is renewed without taking the focus, the selection or the place where somebody has scrolled to.
async fn read_a_table_while_it_changes(browser: &mut Browser, window: &Window) {
    click(browser, window, "#tabs a", "Stock").await;
    browser.wait(window, "document.querySelectorAll('tbody tr').length > 5", "the quantities").await;
    let begin = "(() => {
        const row = document.querySelectorAll('tbody tr')[3];
        row.querySelector('a').focus({ preventScroll: true });
        getSelection().selectAllChildren(row.cells[1]);
        document.querySelector('.scroll').scrollLeft = 60;
        window.before = [row, document.activeElement, document.querySelector('.scroll').scrollLeft, String(getSelection())];
        performance.clearResourceTimings();
    })()";
    browser.value(window, begin).await;
    let renewed =
        "performance.getEntriesByType('resource').filter((it) => it.name.includes('/ui/api/stock')).length > 2";
    browser.wait(window, renewed, "the quantities are asked for again").await;
    let same = "(() => {
        const [row, focused, scrolled, selected] = window.before;
        return row.isConnected && document.activeElement === focused && document.querySelector('.scroll').scrollLeft === scrolled && scrolled > 0
            && String(getSelection()) === selected && selected !== '';
    })()";
    assert_eq!(browser.value(window, same).await, true, "the reader stays where they were");
    // Rows stay themselves where others come before them, go, or change places.
    let moved = "import('/ui/dom.js').then(({ h, update }) => {
        const list = document.body.appendChild(h('ul'));
        const rows = (...keys) => keys.map((key) => h('li', { 'data-key': key }, h('button', null, key)));
        const told = () => [...list.children].map((row) => row.textContent).join();
        update(list, rows('a', 'b', 'c'));
        const b = list.children[1];
        b.firstChild.focus();
        const seen = [['x', 'a', 'b'], ['b', 'a', 'x', 'y'], ['b']].map((keys) => {
            update(list, rows(...keys));
            return told() === keys.join() && b.isConnected && document.activeElement === b.firstChild;
        });
        update(list, 'none');
        const none = list.textContent;
        list.remove();
        return [...seen, none].join();
    })";
    assert_eq!(browser.value(window, moved).await, "true,true,true,none");
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
    let held = "!document.getElementById('bag-held').hidden";
    let late = "document.getElementById('said').textContent.includes('somebody was faster')";
    // Customers look by meanwhile: where one of them took the last unit, the next product's is raced for.
    for product in products.as_array().expect("products").iter().rev() {
        // Not by name: two brands may call their products the same.
        let sku = product["sku"].as_str().expect("a SKU");
        let place = format!("document.querySelector('#shelf li[data-sku=\"{sku}\"]')");
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
            let last = format!("{place}.textContent.toLowerCase().includes('last items remaining')");
            browser.wait(window, &last, "and the last of its kind").await;
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
        let paid = "document.getElementById('said').textContent === 'Thank you: it is yours.'";
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
    read_a_table_while_it_changes(&mut browser, &window).await;
    walk_by_keyboard(&mut browser, &window, &demo.page).await;
    browser.resize(&window, 1_280).await;
    walk(&mut browser, &window, "dark").await;
    browser.colours(&window, "light").await;
    browser.resize(&window, 420).await;
    walk(&mut browser, &window, "light, on a phone").await;
    browser.value(&window, "location.hash = '#/constructor'").await;
    browser.wait(&window, "document.title === 'Overview · Holdfast'", "what is no page leads to the first").await;
    let audited = "document.body.innerText.includes('✓') && document.body.innerText.includes('nothing broken')";
    browser.wait(&window, audited, "the node's replicas are audited soon after its start").await;

    browser.resize(&window, 1_280).await;
    click(&mut browser, &window, "#tabs a", "Overview").await;
    click(&mut browser, &window, "button", "Kill a node").await;
    browser.wait(&window, "document.body.innerText.includes('is killed, and comes back')", "a node is killed").await;
    let again = "fetch('/ui/api/demo/kill', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }).then(async (it) => `${it.status} ${(await it.json()).detail}`)";
    let again = browser.value(&window, again).await.to_string();
    assert!(again.contains("503 a node is down or starting"), "{again}");
    browser.complaints().await;
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

    for (scheme, width) in [("light", 420), ("light", 1_280), ("dark", 420), ("dark", 1_280)] {
        browser.colours(&window, scheme).await;
        browser.resize(&window, width).await;
        look_at_the_shop(&mut browser, &window, &demo.page, &format!("{scheme}, {width} wide")).await;
    }
    press_slowly_in_the_shop(&mut browser, &demo, &window).await;

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
    Shop::open_sale(&client, "rose-week").await;

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
    let alert = "document.getElementById('alert').textContent";
    assert!(
        !browser.value(&window, alert).await.to_string().contains(" s ago"),
        "an alert does not change each second"
    );
    let age = format!("Number({banner}.match(/as it was (\\d+) s ago/)[1])");
    browser.wait(&window, &format!("{age} > 1"), "how old it is").await;
    browser.complaints().await;
    for (_, title, _) in PAGES {
        click(&mut browser, &window, "#tabs a", title).await;
        browser.wait(&window, &format!("document.querySelector('h1')?.textContent === '{title}'"), title).await;
        browser.wait(&window, "document.querySelectorAll('.card').length > 0", title).await;
    }
    click(&mut browser, &window, "#tabs a", "Sales").await;
    browser.wait(&window, "document.querySelector('main').textContent.includes('rose-week')", "the campaign").await;
    click(&mut browser, &window, "#tabs a", "Problems").await;
    browser
        .wait(&window, "document.querySelector('main').textContent.includes('Node 2, 3 did not say')", "who is silent")
        .await;
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
    let kept = "document.querySelector('.as-of').textContent.startsWith('Not renewed since') && document.querySelector('h1').textContent.includes('<b>Rose</b>') && document.querySelector('tbody tr')";
    browser.wait(&window, kept, "what was shown stays, and says since when").await;
    click(&mut browser, &window, "#tabs a", "Overview").await;
    let unheard = "document.body.innerText.includes('Not heard just now')";
    browser.wait(&window, unheard, "events are not heard").await;
    cluster.start_all();
    browser
        .wait(&window, "document.getElementById('standing').textContent.startsWith('3 of 3')", "and goes on by itself")
        .await;
    browser.wait(&window, "document.getElementById('banner').hidden", "with nothing to say").await;
    // A node that starts refuses the stream, which ends it for the browser.
    browser.wait(&window, &format!("!{unheard}"), "events are heard again").await;
    client.receive(Receive::of("ROSE", 3)).await.expect("units are received");
    browser
        .wait(&window, "document.querySelector('.events').textContent.includes('ROSE: 3 received')", "and told")
        .await;
}
