//! SVG by hand: one chart, with a name and a text of its figures for those who can't see it.

use std::fmt::{self, Write};

use minijinja::Value;

/// Every chart is as wide as a phone's column, in pixels: wider screens put several side by side, so that letters stay legible.
pub(super) const WIDTH: f64 = 360.0;
/// An upper estimate of a letter's width at the charts' font size.
const LETTER: f64 = 6.3;

/// Where a text stands from its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A chart under construction.
pub(super) struct Svg {
    body: String,
}

impl Svg {
    pub(super) fn new() -> Self {
        Self { body: String::new() }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.push(format_args!(
            "<text x=\"{}\" y=\"{}\"{anchor}{}>{}</text>",
            Px(x),
            Px(y),
            Class(class),
            escaped(text)
        ));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let (x, y) = (Px(from.0), Px(from.1));
        self.push(format_args!("<path{} d=\"M{x} {y}L{} {}\"/>", Class(class), Px(to.0), Px(to.1)));
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        let (width, height) = (Px(width), Px(height));
        self.push(format_args!(
            "<rect{} x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\"/>",
            Class(class),
            Px(x),
            Px(y)
        ));
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, radius: f64, class: &str) {
        self.push(format_args!("<circle{} cx=\"{}\" cy=\"{}\" r=\"{}\"/>", Class(class), Px(x), Px(y), Px(radius)));
    }

    pub(super) fn path(&mut self, class: &str, d: &str) {
        self.push(format_args!("<path{} d=\"{d}\"/>", Class(class)));
    }

    /// The element: `name` says what it shows, `figures` says them.
    pub(super) fn finish(self, id: &str, height: f64, name: &str, figures: &str) -> Value {
        Value::from_safe_string(format!(
            "<svg role=\"img\" aria-labelledby=\"{id}-name\" aria-describedby=\"{id}-figures\" viewBox=\"0 0 {WIDTH} {}\">\
             <title id=\"{id}-name\">{}</title><desc id=\"{id}-figures\">{}</desc>{}</svg>",
            Px(height),
            escaped(name),
            escaped(figures),
            self.body
        ))
    }

    fn push(&mut self, piece: fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(piece);
    }
}

/// A coordinate, to a tenth of a pixel.
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding 0 makes a negative zero a plain one.
        write!(formatter, "{}", (self.0 * 10.0).round() / 10.0 + 0.0)
    }
}

struct Class<'a>(&'a str);

impl fmt::Display for Class<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(formatter, " class=\"{}\"", self.0) }
    }
}

/// `text` cut to what fits into `width` pixels.
pub(super) fn fit(text: &str, width: f64) -> String {
    let most = (width / LETTER) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Text that may stand between tags and in quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        assert_eq!([12.0, 0.04, -0.04, 7.26].map(|x| Px(x).to_string()), ["12", "0", "0", "7.3"]);
    }

    #[test]
    fn long_names_are_cut_and_say_so() {
        assert_eq!(fit("tokio-ct", 90.0), "tokio-ct");
        assert_eq!(fit("a-contender-with-a-long-name", 90.0), "a-contender-w…");
    }

    #[test]
    fn markup_in_a_name_is_text() {
        assert_eq!(escaped("<script>\"&'"), "&lt;script&gt;&quot;&amp;&#39;");
    }
}
