//! Where a page is followed: a folder of its own, with the binary under test first on the path.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::root;
use super::script::{PRELUDE, with_ports};

/// How long a cluster has to be up, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// `cargo run -- X` is the binary too.
const CARGO: &str = "#!/bin/sh\n[ \"$1\" = run ] || { echo 'only cargo run is played here' >&2; exit 9; }\n\
                     while [ \"$1\" != -- ]; do shift; done\nshift\nexec holdfast \"$@\"\n";

/// What curl is answered must be a success, or the page says with which status it ends; readers see the answer either way.
const CURL: &str = "#!/bin/sh\nPATH=${PATH#*:}\nfor flag in \"$@\"; do\n  case \"$flag\" in -f|-sf|-sSf|--fail*) exec curl \"$@\" ;; esac\ndone\n\
                    exec curl --fail-with-body \"$@\"\n";

/// A folder, ports, and a cluster where the page does not start one itself.
pub struct Ground {
    dir: TempDir,
    pub port_base: u16,
    cluster: Option<Child>,
}

impl Ground {
    /// A folder and ports; nothing runs.
    pub fn bare() -> Self {
        let dir = tempfile::Builder::new().prefix("holdfast-page-").tempdir().expect("a temporary folder");
        let ground = Self { dir, port_base: free_port_base(), cluster: None };
        for folder in ["bin", "out", "work"] {
            fs::create_dir(ground.dir.path().join(folder)).expect("a new folder");
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_holdfast"));
        for (name, path) in [("holdfast", binary.to_owned()), ("holdfast-sim", binary.with_file_name("holdfast-sim"))] {
            if path.exists() {
                symlink(path, ground.bin().join(name)).expect("a new link");
            }
        }
        ground.has_program("cargo", CARGO);
        ground.has_program("curl", CURL);
        let made = root().join("target/tools/python/bin/python");
        if let Some(python) =
            std::env::var_os("TEST_PYTHON").map(PathBuf::from).or_else(|| made.exists().then_some(made))
        {
            // No link: an environment of Python's is found by the path that it is called by.
            ground.has_program("python", &format!("#!/bin/sh\nexec '{}' \"$@\"\n", python.display()));
        }
        fs::write(ground.prelude(), PRELUDE).expect("a file is written");
        ground
    }

    fn has_program(&self, name: &str, text: &str) {
        let path = self.bin().join(name);
        fs::write(&path, text).expect("a file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it may be run");
    }

    /// The same with a cluster: what `holdfast up` makes of an empty folder.
    pub fn with_cluster() -> Self {
        let mut ground = Self::bare();
        let said = fs::File::create(ground.dir.path().join("up")).expect("a new file");
        let errors = said.try_clone().expect("a second handle");
        let up = ground.command("holdfast").arg("up").stdout(said).stderr(errors).spawn();
        ground.cluster = Some(up.expect("the binary under test starts"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = fs::read_to_string(ground.dir.path().join("up")).unwrap_or_default();
            if said.contains("the cluster is up") {
                return ground;
            }
            assert!(Instant::now() < deadline, "the cluster is not up:\n{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A command in the page's folder, as a reader would type it there.
    pub fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOLDFAST_")) {
            command.env_remove(name);
        }
        command
            .current_dir(self.work())
            .env("PATH", format!("{}:{path}", self.bin().display()))
            .env("NO_COLOR", "1")
            .env("SOURCES", root())
            .env("HOLDFAST_PORT_BASE", self.port_base.to_string())
            .env("HOLDFAST_ADDR", with_ports("127.0.0.1:7400,127.0.0.1:7410,127.0.0.1:7420", self.port_base))
            .stdin(Stdio::null());
        command
    }

    fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    /// The reader's folder.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Where the output of each block is kept, by its line.
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// What comes before a page.
    pub fn prelude(&self) -> PathBuf {
        self.dir.path().join("prelude")
    }

    /// A file of the page's script, by the page's own name, so that bash names it.
    pub fn script(&self) -> PathBuf {
        self.dir.path().join("script")
    }

    /// The last that the nodes said.
    pub fn messages(&self) -> String {
        let data = self.work().join("holdfast-data");
        (1..=3).map(|node| tail(&data.join(format!("node-{node}.log")))).collect::<Vec<_>>().join("")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let Some(mut up) = self.cluster.take() else { return };
        let _ = kill_process(Pid::from_child(&up), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(up.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = up.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains(" INFO ")).collect();
    let last = lines[lines.len().saturating_sub(10)..].join("\n");
    format!("--- {}\n{last}\n", path.display())
}

/// The first of thirty-two ports that nobody listens on now, each such row given out once. They lie below those that the system gives
/// to who asks for any, and above those of other tests.
fn free_port_base() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const ROWS: u16 = 54;
    let is_free = |base: &u16| (0..40).all(|port| is_bindable(base + port).is_ok());
    let first = (std::process::id() % u32::from(ROWS)) as u16;
    let mut rows = (0..ROWS).map(|_| 30_500 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % ROWS * 40);
    rows.find(is_free).expect("some free ports")
}

fn is_bindable(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port))
}
