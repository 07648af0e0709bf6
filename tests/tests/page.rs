//! The page: everything is on it, nothing is loaded, it is small, and a browser shows it without a complaint at a phone's
//! width and at a desk's.
//!
//! The last needs Chromium; skipped with a reason where there is none, unless `LAB_REQUIRE` names `chromium`.

#[path = "page/browser.rs"]
mod browser;
#[path = "page/fixture.rs"]
mod fixture;

use bench_harness::render::html;
use bench_harness::report::Report;

/// What a person's mail lets through, and what a phone loads without waiting.
const MOST_BYTES: usize = 2_000_000;

#[test]
fn everything_measured_is_there() {
    let report = fixture::everything();
    // The engine escapes strokes too.
    let page = html::report(&report).replace("&#x2f;", "/");
    for comparison in &report.comparisons {
        let workload = comparison.workload.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let workload = workload.replace('"', "&quot;");
        let heading = format!("<h3>{workload} <span");
        assert!(page.contains(&heading), "{heading} is missing");
    }
    for claim in &report.claims {
        assert!(page.contains(&format!("<h3>{}</h3>", claim.text)), "{} is missing", claim.text);
    }
    for needed in [
        "no such thing: rayon has no handle to join a single unit by",
        "left out: one iteration takes 2.1 s",
        "FAILED: it ended with signal 11 &amp; said &lt;nothing&gt;",
        "the time was up before its turn",
        "did not do the same work",
        "too few rounds",
        "still warming up in 1 round<",
        "cargo xtask compare-runtimes --only blocked-loop --placement free",
        "sibling after yields",
    ] {
        assert!(page.contains(needed), "{needed} is missing");
    }
    assert!(!page.contains("NaN") && !page.contains(">inf"), "a figure that is none");
}

#[test]
fn what_others_wrote_stays_text() {
    let page = html::report(&fixture::everything());
    assert!(!page.contains(fixture::HOSTILE));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;"));
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
}

#[test]
fn nothing_is_loaded() {
    for report in [fixture::everything(), fixture::nothing()] {
        let page = html::report(&report);
        for (at, _) in page.match_indices("src=").chain(page.match_indices("href=")) {
            let target = page[at..].split('"').nth(1).unwrap();
            assert!(target.starts_with('#') || target == "data:,", "{target}");
        }
        assert!(!page.contains("url(") && !page.contains("@import"));
    }
}

#[test]
fn the_floor_wins_nothing_and_few_rounds_say_so() {
    let page = html::report(&fixture::everything());
    let answer = &page[page.find("id=\"answer\"").unwrap()..page.find("id=\"map\"").unwrap()];
    assert!(!answer.contains("<b>floor</b>"), "{answer}");
    assert!(answer.contains("mini-local"), "{answer}");
    let few = Report { comparisons: vec![fixture::everything().comparisons.swap_remove(1)], ..fixture::nothing() };
    let page = html::report(&few);
    assert!(page.contains("Too few rounds to say; smol-local has the lowest"));
}

#[test]
fn the_page_says_what_was_compared() {
    let of = |command: &str| html::report(&Report { command: command.to_owned(), partial: true, ..fixture::nothing() });
    let page = of("cargo xtask compare-allocators --quick");
    for needed in ["<h1>Which allocator for", "name an allocator for any", "compare-allocators --resume"] {
        assert!(page.contains(needed), "{needed:?}");
    }
    assert!(of("cargo xtask claims").contains("<h1>Which runtime for"));
    let largest = Report { command: "cargo xtask compare-allocators".to_owned(), ..fixture::largest() };
    let page = html::report(&largest);
    assert!(page.contains("cargo xtask compare-allocators --only "), "each section says how it is measured again");
    assert!(!page.contains("compare-runtimes"));
    let command = "cargo xtask compare-allocators --replay app.trace".to_owned();
    let alone =
        Report { comparisons: vec![fixture::largest().comparisons.swap_remove(0)], command, ..fixture::nothing() };
    let page = html::report(&alone);
    assert!(
        page.contains("--replay app.trace</code> <a"),
        "one that stands alone is measured again by the whole command"
    );
    assert!(!page.contains("--only"));
}

#[test]
fn the_largest_report_is_a_small_file() {
    let report = fixture::largest();
    let blocks: usize =
        report.comparisons.iter().flat_map(|comparison| &comparison.rounds).map(|round| round.blocks.len()).sum();
    assert_eq!((report.comparisons.len(), blocks), (60, 60 * 32 * 4));
    let page = html::report(&report);
    assert!(page.len() < MOST_BYTES, "{} bytes", page.len());
}

#[test]
fn the_browser_finds_what_is_wrong() {
    let Some(browser) = browser::find() else { return };
    let broken = "<!doctype html><html><head></head><body><div style='width:2000px'>wide</div>\
        <svg width=100 height=20><title id=bare></title><path d='M0 0H9'/></svg>\
        <svg width=100 height=20><title id=full></title><path class=mark d='M0 0H9' stroke=red />\
        <text x=2 y=10>one</text><text x=4 y=10>other</text><text x=95 y=40>outside</text></svg>\
        <script>console.error('said'); missing()</script></body></html>";
    let folder = tempfile::tempdir().unwrap();
    let found = browser::open(browser, broken, 390, folder.path());
    assert!(found.contents > found.width, "{found:?}");
    assert_eq!(found.empty, ["bare"]);
    assert!(found.errors.iter().any(|error| error.contains("said")), "{found:?}");
    assert!(found.errors.iter().any(|error| error.contains("missing")), "{found:?}");
    assert!(found.unreadable.iter().any(|text| text.contains("one lies on other")), "{found:?}");
    assert!(found.unreadable.iter().any(|text| text.contains("outside is cut off")), "{found:?}");
}

#[test]
fn a_browser_shows_it_on_a_phone_and_on_a_desk() {
    let Some(browser) = browser::find() else { return };
    let reports =
        [("everything", fixture::everything()), ("nothing", fixture::nothing()), ("largest", fixture::largest())];
    for (name, report) in reports {
        let page = html::report(&report);
        for width in [390, 1280] {
            let folder = tempfile::tempdir().unwrap();
            let found = browser::open(browser, &page, width, folder.path());
            assert!((found.width - f64::from(width)).abs() < 0.5, "{name}: {found:?}");
            assert!(found.contents <= found.width, "{name} is wider than {width}: {}", found.contents);
            assert!(found.errors.is_empty(), "{name} at {width}: {:#?}", found.errors);
            assert!(found.empty.is_empty(), "{name} at {width}, empty charts: {:#?}", found.empty);
            assert!(found.unreadable.is_empty(), "{name} at {width}: {:#?}", found.unreadable);
            assert_eq!(found.charts == 0, report.comparisons.is_empty(), "{name}");
            eprintln!(
                "{name} at {width}: {} bytes, {} charts, first paint after {:?} ms",
                page.len(),
                found.charts,
                found.paint_ms
            );
        }
    }
}
