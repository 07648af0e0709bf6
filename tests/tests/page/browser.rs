//! A page in a browser without a window: what it complains about, and what a person would not be able to read.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// What the browser found.
#[derive(Debug, Deserialize)]
pub(crate) struct Findings {
    /// The page's width on the screen and that of its contents.
    pub(crate) width: f64,
    pub(crate) contents: f64,
    /// Exceptions, calls of `console.error`, things that the page's own policy forbids.
    pub(crate) errors: Vec<String>,
    /// Charts in which nothing is drawn.
    pub(crate) empty: Vec<String>,
    /// Texts in charts that are cut off or lie on top of each other.
    pub(crate) unreadable: Vec<String>,
    /// Charts in all.
    pub(crate) charts: usize,
    /// Until something was to be seen, ms; `None` where the browser does not say.
    pub(crate) paint_ms: Option<f64>,
}

/// Looks the page over from inside. It has to run before anything else does.
const CHECK: &str = r"<script>
const errors = [];
addEventListener('error', event => errors.push(String(event.message)));
addEventListener('unhandledrejection', event => errors.push(String(event.reason)));
addEventListener('securitypolicyviolation', event => errors.push(event.violatedDirective + ' ' + event.blockedURI));
console.error = (...all) => errors.push(all.join(' '));
addEventListener('load', () => {
  const drawn = svg => [...svg.querySelectorAll('.mark')].some(mark => {
    const box = mark.getBBox();
    return box.width + box.height > 0;
  });
  const charts = [...document.querySelectorAll('svg')];
  const unreadable = [];
  for (const svg of charts) {
    const outer = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([text, box], index) => {
      const cut = box.left < outer.left - 1 || box.right > outer.right + 1 || box.top < outer.top - 1 || box.bottom > outer.bottom + 1;
      const over = ([, other]) => Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1
        && Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 3;
      const hit = texts.slice(index + 1).find(over);
      const where = svg.querySelector('title').id;
      if (cut) unreadable.push(where + ': ' + text + ' is cut off');
      if (hit) unreadable.push(where + ': ' + text + ' lies on ' + hit[0]);
    });
  }
  const paint = performance.getEntriesByType('paint').find(entry => entry.name == 'first-contentful-paint');
  parent.postMessage(JSON.stringify({
    width: innerWidth,
    contents: document.documentElement.scrollWidth,
    errors,
    empty: charts.filter(svg => !drawn(svg) || svg.outerHTML.includes('NaN')).map(svg => svg.querySelector('title').id),
    unreadable,
    charts: charts.length,
    paint_ms: paint ? paint.startTime : null,
  }), '*');
});
</script>";

/// The browser's program, if there is one. `LAB_REQUIRE` naming `chromium` says there has to be.
pub(crate) fn find() -> Option<&'static str> {
    let runs =
        |program: &&str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(runs);
    let words = |list: String| list.split([' ', ',']).any(|name| name == "chromium");
    let required = std::env::var("LAB_REQUIRE").is_ok_and(words);
    assert!(found.is_some() || !required, "LAB_REQUIRE names chromium, but none can be run");
    if found.is_none() {
        eprintln!("SKIPPED: chromium is not installed");
    }
    found
}

/// Opens the page `width` pixels wide. It stands in a frame, for a browser's window can't be as narrow as a phone.
pub(crate) fn open(browser: &str, page: &str, width: u32, folder: &Path) -> Findings {
    let checked = page.replacen("<head>", &format!("<head>{CHECK}"), 1);
    std::fs::write(folder.join("page.html"), checked).unwrap();
    let around = format!(
        "<!doctype html><pre id=check></pre><script>addEventListener('message', event => \
         document.getElementById('check').textContent = btoa(unescape(encodeURIComponent(event.data))))</script>\
         <iframe src=page.html width={width} height=900 style='border:0'></iframe>"
    );
    let outer = folder.join("around.html");
    std::fs::write(&outer, around).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"])
        .args(["--window-size=1400,1000", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", outer.display()))
        .output()
        .unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let text = dom.split_once("<pre id=\"check\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let findings = decoded(text.unwrap_or_else(|| panic!("no findings in {dom}\n{log}")).0);
    let mut findings: Findings =
        serde_json::from_str(&findings).unwrap_or_else(|error| panic!("{error}: {findings:?}\n{log}"));
    findings.errors.extend(log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned));
    findings
}

/// Base64, for a page's texts must not be read as markup.
fn decoded(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.bytes().filter_map(|letter| LETTERS.iter().position(|known| *known == letter)) {
        bits = bits << 6 | letter as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
