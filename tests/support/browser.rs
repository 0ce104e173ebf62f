//! A real browser for the tests of the pages: Chromium, asked by WebDriver.
//!
//! Only a browser can tell what a person gets: whether the policy of a page
//! blocks its own script, whether a page works on a phone and without
//! JavaScript, what leaves the origin and how much is loaded. Two judges read
//! along, both from packages pinned in `tests/browser`: axe-core judges
//! accessibility on the finished page, html-validate the HTML as served.
//!
//! A machine without a browser still runs all other tests: [`Driver::start`]
//! says so aloud, gives none, and the scenario returns.

mod judges;

use std::env;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
pub(crate) use fantoccini::key::Key;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use self::judges::validate_html;
use super::patience::{PATIENCE, patiently};

/// The zone of all browsers: another one than the server's.
pub(crate) const ZONE: &str = "Asia/Tokyo";
/// The same in hours from UTC, in summer as in winter.
pub(crate) const ZONE_HOURS: i64 = 9;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A running chromedriver; it ends with this value, and its browsers with it.
pub(crate) struct Driver {
    process: Child,
    port: u16,
    browser: PathBuf,
}

/// How a browser differs from the usual one on a desk.
pub(crate) struct Options {
    pub(crate) phone: bool,
    pub(crate) javascript: bool,
    pub(crate) dark: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            phone: false,
            javascript: true,
            dark: false,
        }
    }
}

impl Driver {
    /// None where this machine has no browser or no chromedriver.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_from(&env::var_os("PATH").unwrap_or_default()).await
    }

    /// As [`Self::start`], from the programs in these directories.
    #[expect(
        clippy::print_stderr,
        reason = "tests left out must be seen to be left out"
    )]
    pub(crate) async fn start_from(path: &OsStr) -> Option<Self> {
        let find = |name: &str| {
            let mut files = env::split_paths(path).map(|directory| directory.join(name));
            files.find(|file| file.is_file())
        };
        let browser = BROWSERS.into_iter().find_map(find);
        let (Some(browser), Some(driver)) = (browser, find("chromedriver")) else {
            eprintln!("NO BROWSER: chromium or chromedriver is missing, browser tests skipped");
            return None;
        };
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let process = Command::new(&driver)
                .arg(format!("--port={port}"))
                .env("TZ", ZONE)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let browser = browser.clone();
            let mut started = Self {
                process,
                port,
                browser,
            };
            if started.answers().await {
                return Some(started);
            }
        }
        panic!("{} does not start", driver.display());
    }

    /// False when it has ended: another process took the port.
    async fn answers(&mut self) -> bool {
        let status = format!("{}/status", self.url());
        let answers = patiently(async || {
            if self.process.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let answer = reqwest::get(&status).await;
            answer
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(true)
        });
        let Some(answers) = answers.await else {
            panic!("chromedriver does not answer");
        };
        answers
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A browser with a profile of its own.
    pub(crate) async fn open(&self, options: Options) -> Browser {
        let profile = TempDir::with_prefix("square-sync-browser-").unwrap();
        let size = if options.phone { "390,844" } else { "1280,900" };
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        let mut chrome = json!({
            "binary": self.browser,
            "browserStartupTimeout": patience,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                format!("--window-size={size}"),
                format!("--user-data-dir={}", profile.path().display()),
            ],
        });
        if options.phone {
            chrome["mobileEmulation"] = json!({"deviceMetrics":
                {"width": 390, "height": 844, "pixelRatio": 3.0, "touch": true}});
        }
        if !options.javascript {
            chrome["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
        }
        let capabilities = json!({
            "goog:chromeOptions": chrome,
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            "timeouts": {"pageLoad": patience, "script": patience},
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&self.url())
            .await
            .unwrap();
        let browser = Browser {
            client,
            _profile: profile,
        };
        if options.dark {
            let features = json!([{"name": "prefers-color-scheme", "value": "dark"}]);
            let command = json!({"cmd": "Emulation.setEmulatedMedia",
                "params": {"features": features}});
            browser.issue("goog/cdp/execute", command).await;
        }
        browser
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked first: killed at once it would leave its browsers behind.
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let request = "GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One of a browser's tabs.
pub(crate) struct Tab(WindowHandle);

/// One browser window.
pub(crate) struct Browser {
    client: Client,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(crate) async fn url(&self) -> String {
        self.client.current_url().await.unwrap().into()
    }

    /// The text of the first such element, as shown.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.with(css, async |element| element.text().await).await
    }

    /// The texts of all such elements; none is no error.
    pub(crate) async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.client.find_all(Locator::Css(css)).await.unwrap() {
            texts.push(element.text().await.unwrap());
        }
        texts
    }

    pub(crate) async fn click(&self, css: &str) {
        self.with(css, async |element| element.click().await).await;
    }

    /// Types over what the field held.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        self.with(css, async |field| {
            field.clear().await?;
            field.send_keys(text).await
        })
        .await;
    }

    /// Whether there is such an element now.
    pub(crate) async fn exists(&self, css: &str) -> bool {
        !self
            .client
            .find_all(Locator::Css(css))
            .await
            .unwrap()
            .is_empty()
    }

    pub(crate) async fn wait_for(&self, css: &str) -> Element {
        let found = patiently(async || {
            let all = self.client.find_all(Locator::Css(css)).await;
            all.unwrap().into_iter().next()
        });
        match found.await {
            Some(element) => element,
            None => self.give_up(&format!("no {css}")).await,
        }
    }

    /// Does something with such an element. The page may replace it meanwhile; then
    /// it is done with what came in its place.
    async fn with<T>(
        &self,
        css: &str,
        mut act: impl AsyncFnMut(Element) -> Result<T, CmdError>,
    ) -> T {
        loop {
            let element = self.wait_for(css).await;
            match act(element).await {
                Err(error) if error.is_stale_element_reference() => {}
                done => return done.unwrap(),
            }
        }
    }

    /// Waits until such an element shows this text.
    pub(crate) async fn wait_text(&self, css: &str, part: &str) {
        let shown = patiently(async || {
            // Read at once: an element that a page replaces is no error.
            for element in self.client.find_all(Locator::Css(css)).await.unwrap() {
                if element.text().await.is_ok_and(|text| text.contains(part)) {
                    return Some(());
                }
            }
            None
        });
        if shown.await.is_none() {
            self.give_up(&format!("no {css} with {part:?}")).await;
        }
    }

    async fn give_up(&self, what: &str) -> ! {
        let text = self.texts("body").await.join("\n");
        panic!("{what} at {}:\n{text}", self.url().await)
    }

    pub(crate) async fn attribute(&self, css: &str, name: &str) -> Option<String> {
        self.with(css, async |element| element.attr(name).await)
            .await
    }

    pub(crate) async fn property(&self, css: &str, name: &str) -> Option<String> {
        self.with(css, async |element| element.prop(name).await)
            .await
    }

    /// Presses a key at this element, or at the one that has the focus.
    pub(crate) async fn key(&self, css: Option<&str>, key: Key) {
        let element = match css {
            Some(css) => self.wait_for(css).await,
            None => self.client.active_element().await.unwrap(),
        };
        element
            .send_keys(&char::from(key).to_string())
            .await
            .unwrap();
    }

    /// Opens another tab of the same browser, and goes there.
    pub(crate) async fn new_tab(&self) -> Tab {
        let opened = self.client.new_window(true).await.unwrap();
        let tab = Tab(opened.handle);
        self.switch(&tab).await;
        tab
    }

    /// The tab that is shown.
    pub(crate) async fn tab(&self) -> Tab {
        Tab(self.client.window().await.unwrap())
    }

    pub(crate) async fn switch(&self, tab: &Tab) {
        let handle = tab.0.clone();
        self.client.switch_to_window(handle).await.unwrap();
    }

    pub(crate) async fn forget_cookie(&self, name: &str) {
        self.client.delete_cookie(name).await.unwrap();
    }

    /// Runs the body of a function; what it returns.
    pub(crate) async fn execute(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// As [`Self::execute`]; the result is what the script gives its last argument.
    pub(crate) async fn execute_async(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap()
    }

    pub(crate) async fn screenshot(&self, path: &Path) {
        let image = self.client.screenshot().await.unwrap();
        std::fs::write(path, image).unwrap();
    }

    /// Ends the session; what is not closed ends with the driver.
    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}
