//! The line of a key in a text, for problems that are found after reading.

use super::Format;

/// The line, from 1, on which the value of a key like `tasks[2].arrival` begins; of the nearest part of the path that is there.
pub(super) fn line(text: &str, format: Format, key: &str) -> Option<usize> {
    let parts: Vec<&str> = key.split(['.', '[', ']']).filter(|part| !part.is_empty()).collect();
    let offset = match format {
        Format::Json => json(text, &parts),
        Format::Toml => toml(text, &parts),
    }?;
    Some(text[..offset].matches('\n').count() + 1)
}

fn toml(text: &str, parts: &[&str]) -> Option<usize> {
    use toml::de::DeValue;
    let table = toml::de::DeTable::parse(text).ok()?;
    let mut offset = None;
    let mut value = DeValue::Table(table.into_inner());
    for part in parts {
        let next = match value {
            DeValue::Table(mut table) => {
                let key = table.keys().find(|key| key.get_ref() == part).cloned();
                key.and_then(|key| table.remove(&key))
            }
            DeValue::Array(array) => part.parse::<usize>().ok().and_then(|index| array.into_iter().nth(index)),
            _ => None,
        };
        let Some(next) = next else { break };
        offset = Some(next.span().start);
        value = next.into_inner();
    }
    offset
}

/// Walks over a text that is known to be JSON.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

fn json(text: &str, parts: &[&str]) -> Option<usize> {
    let mut walk = Walk { bytes: text.as_bytes(), at: 0 };
    let mut offset = None;
    for part in parts {
        walk.spaces();
        let found = match walk.bytes.get(walk.at)? {
            b'{' => walk.enter_key(part),
            b'[' => walk.enter_index(part.parse().ok()?),
            _ => None,
        };
        if found.is_none() {
            break;
        }
        walk.spaces();
        offset = Some(walk.at);
    }
    offset
}

impl Walk<'_> {
    fn spaces(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b',' || *byte == b':') {
            self.at += 1;
        }
    }

    /// From an opening brace to the value of a key.
    fn enter_key(&mut self, key: &str) -> Option<()> {
        self.at += 1;
        loop {
            self.spaces();
            if *self.bytes.get(self.at)? != b'"' {
                return None;
            }
            let start = self.at + 1;
            self.value()?;
            if self.bytes.get(start..self.at - 1)? == key.as_bytes() {
                return Some(());
            }
            self.spaces();
            self.value()?;
        }
    }

    /// From an opening bracket to an element.
    fn enter_index(&mut self, index: usize) -> Option<()> {
        self.at += 1;
        for _ in 0..index {
            self.spaces();
            self.value()?;
        }
        self.spaces();
        (*self.bytes.get(self.at)? != b']').then_some(())
    }

    /// Over one value, whatever it is.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                byte if byte.is_ascii_whitespace() || byte == b',' || byte == b':' => self.at += 1,
                _ => {
                    while self.bytes.get(self.at).is_some_and(|byte| !b",]} \t\r\n".contains(byte)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keys_are_found() {
        let text = "{\n \"a\": {\"x\": [1, 2]},\n \"tasks\": [\n  {\"id\": 0, \"s\": \"]\\\"}\"},\n  {\"id\": 1,\n   \"cpu\": -1}\n ]\n}";
        assert_eq!(line(text, Format::Json, "tasks[1].cpu"), Some(6));
        assert_eq!(line(text, Format::Json, "tasks[0].id"), Some(4));
        assert_eq!(line(text, Format::Json, "a.x[1]"), Some(2));
        assert_eq!(line(text, Format::Json, "tasks[1].missing"), Some(5), "the nearest that is there");
        assert_eq!(line(text, Format::Json, "missing"), None);
    }

    #[test]
    fn toml_keys_are_found() {
        let text = "a = 1\n[[tasks]]\nid = 0\n[[tasks]]\nid = 1\nprogram = [\n  { cpu = 1 },\n  { cpu = -1 },\n]\n";
        assert_eq!(line(text, Format::Toml, "tasks[1].program[1].cpu"), Some(8));
        assert_eq!(line(text, Format::Toml, "tasks[0].id"), Some(3));
    }
}
