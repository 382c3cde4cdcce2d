//! A headless Chromium, driven by the DevTools protocol over a WebSocket: windows, what a person does in them, and what their consoles say.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::cluster::{PATIENCE, pause};

/// Names of the browser's program, and the variable that names another.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const PROGRAM: &str = "TEST_BROWSER";

/// Sums how far things jump in a page (the field's "cumulative layout shift"); what moves because somebody typed or clicked is not
/// counted, nor are lists of events, where the newest comes first.
const WATCH_JUMPS: &str = "window.jumped = 0; window.jumps = []; new PerformanceObserver((list) => list.getEntries().forEach((it) => { \
     const moved = it.sources.map((its) => its.node?.nodeType === 1 ? its.node : its.node?.parentElement).filter((its) => its && !its.closest('.events')); \
     if (it.hadRecentInput || moved.length === 0) return; \
     window.jumped += it.value; \
     window.jumps.push(`${it.value.toFixed(3)} at ${Math.round(it.startTime)}: ${moved.map((its) => `${its.tagName}.${its.className} ${its.textContent.slice(0, 40)}`).join('; ')}`); \
     })).observe({ type: 'layout-shift', buffered: true });";

/// A browser with a profile of its own; it ends with the test.
pub struct Browser {
    process: Child,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
    /// What the consoles of all windows complained of.
    complaints: VecDeque<String>,
    _profile: TempDir,
}

/// One window.
#[derive(Clone, Debug)]
pub struct Window {
    session: String,
}

/// The program of a browser on this machine, if there is one.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM) {
        return Some(named.into());
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .flat_map(|folder| PROGRAMS.map(|name| folder.join(name)))
        .find(|candidate| candidate.is_file())
}

impl Browser {
    /// Starts one; `None`, said aloud, where this machine has none and none was promised.
    pub async fn start() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!(
                "LEFT OUT: no browser ({}) is on this machine; {PROGRAM} names one elsewhere",
                PROGRAMS.join(", ")
            );
            return None;
        };
        let profile = TempDir::with_prefix("holdfast-browser-").expect("a folder for the profile");
        // Only pages of this test's own processes are opened, so the sandbox, which containers seldom allow, guards nothing here.
        let process = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"])
            .args(["--disable-backgrounding-occluded-windows", "--disable-background-networking", "--no-proxy-server"])
            .args(["--remote-debugging-port=0", "--lang=en"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let address = address_of(profile.path()).await;
        let (socket, _) = tokio_tungstenite::connect_async(address).await.expect("the browser listens to its tools");
        Some(Self { process, socket, next_id: 0, complaints: VecDeque::new(), _profile: profile })
    }

    async fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.socket.send(Message::text(message.to_string())).await.expect("the browser is told");
        loop {
            let answer = self.hear().await;
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The next message; complaints of consoles are kept.
    async fn hear(&mut self) -> Value {
        loop {
            let heard = timeout(PATIENCE, self.socket.next()).await.expect("the browser answers in time");
            let Message::Text(text) = heard.expect("the browser is there").expect("a whole message") else { continue };
            let message: Value = serde_json::from_str(&text).expect("DevTools speaks JSON");
            let about = &message["params"];
            let complaint = match message["method"].as_str() {
                Some("Log.entryAdded") if about["entry"]["level"] == "error" => {
                    Some(format!("{}: {}", about["entry"]["url"], about["entry"]["text"]))
                }
                Some("Runtime.consoleAPICalled") if about["type"] == "error" || about["type"] == "assert" => {
                    Some(about["args"].to_string())
                }
                Some("Runtime.exceptionThrown") => Some(about["exceptionDetails"].to_string()),
                _ => None,
            };
            self.complaints.extend(complaint);
            return message;
        }
    }

    /// A new window, empty, so many pixels wide, with storage of its own: another person's.
    pub async fn open(&mut self, width: u32) -> Window {
        let context = self.call(None, "Target.createBrowserContext", json!({})).await["browserContextId"].clone();
        let wanted = json!({ "url": "about:blank", "browserContextId": context });
        let target = self.call(None, "Target.createTarget", wanted).await["targetId"].clone();
        let attached = self.call(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true })).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let window = Window { session };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.ask(&window, domain, json!({})).await;
        }
        self.ask(&window, "Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH_JUMPS })).await;
        self.resize(&window, width).await;
        window
    }

    async fn ask(&mut self, window: &Window, method: &str, parameters: Value) -> Value {
        let session = window.session.clone();
        self.call(Some(&session), method, parameters).await
    }

    /// Makes a window so many pixels wide.
    pub async fn resize(&mut self, window: &Window, width: u32) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.ask(window, "Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Has the system's colours be light or dark.
    pub async fn colours(&mut self, window: &Window, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask(window, "Emulation.setEmulatedMedia", features).await;
    }

    /// Goes to an address, and waits until the page is there.
    pub async fn go(&mut self, window: &Window, url: &str) {
        self.ask(window, "Page.navigate", json!({ "url": url })).await;
        self.wait(window, "document.readyState === 'complete'", url).await;
    }

    /// What an expression gives; promises are waited for.
    pub async fn value(&mut self, window: &Window, expression: &str) -> Value {
        let wanted = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let given = self.ask(window, "Runtime.evaluate", wanted).await;
        assert!(given["exceptionDetails"].is_null(), "{expression}: {given}");
        given["result"]["value"].clone()
    }

    /// Waits until an expression is true; meanwhile the page may be another one, in which nothing of it is there yet.
    pub async fn wait(&mut self, window: &Window, expression: &str, what: &str) {
        let guarded = format!("(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()");
        let deadline = Instant::now() + PATIENCE;
        while self.value(window, &guarded).await != true {
            if Instant::now() > deadline {
                let text = self.value(window, "document.body.innerText").await;
                panic!(
                    "{what}: `{expression}` does not come true; complaints {:?}; the page:\n{text}",
                    self.complaints
                );
            }
            pause().await;
        }
    }

    /// The number in an element, without the marks between thousands.
    pub async fn number(&mut self, window: &Window, expression: &str) -> f64 {
        let text = self.value(window, expression).await;
        let text = text.as_str().unwrap_or_else(|| panic!("{expression} gives {text}")).replace(',', "");
        text.trim().parse().unwrap_or_else(|_| panic!("{expression} gives {text}"))
    }

    /// Presses a key that moves the focus or acts: `Tab`, `Enter`.
    pub async fn press(&mut self, window: &Window, key: &str) {
        let (code, text) = if key == "Enter" { (13, "\r") } else { (9, "") };
        let pressed =
            json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
        self.ask(window, "Input.dispatchKeyEvent", pressed).await;
        let let_go = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.ask(window, "Input.dispatchKeyEvent", let_go).await;
    }

    /// Puts the mouse's button down in the middle of the element that an expression gives, and leaves it down.
    pub async fn mouse_down(&mut self, window: &Window, element: &str) -> (f64, f64) {
        let middle = format!(
            "(() => {{ const it = {element}; it.scrollIntoView({{ block: 'center' }}); const at = it.getBoundingClientRect(); \
             return [at.x + at.width / 2, at.y + at.height / 2]; }})()"
        );
        let at = self.value(window, &middle).await;
        let (x, y) = (at[0].as_f64().expect("a place"), at[1].as_f64().expect("a place"));
        self.mouse(window, "mousePressed", (x, y)).await;
        (x, y)
    }

    /// Lets the button go where it is.
    pub async fn mouse_up(&mut self, window: &Window, at: (f64, f64)) {
        self.mouse(window, "mouseReleased", at).await;
    }

    async fn mouse(&mut self, window: &Window, kind: &str, (x, y): (f64, f64)) {
        let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
        self.ask(window, "Input.dispatchMouseEvent", event).await;
    }

    /// What the consoles complained of since this was asked last.
    pub async fn complaints(&mut self) -> Vec<String> {
        // What was said before an answer comes is heard before it.
        self.call(None, "Browser.getVersion", json!({})).await;
        self.complaints.drain(..).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the browser listens: it writes that into its profile.
async fn address_of(profile: &Path) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = told.trim().split_once('\n') {
            return format!("ws://127.0.0.1:{port}{path}");
        }
        assert!(Instant::now() < deadline, "the browser does not say where it listens");
        pause().await;
    }
}
