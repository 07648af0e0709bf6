//! Where code was: which file an address belongs to.

use std::collections::BTreeMap;
#[cfg(feature = "report")]
use std::collections::BTreeSet;
#[cfg(feature = "report")]
use std::os::unix::fs::MetadataExt;

/// An executable mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapping {
    end: u64,
    /// In the file.
    offset: u64,
    path: String,
}

/// The executable mappings, by generation and first address.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    mappings: BTreeMap<(u32, u64), Mapping>,
}

impl Modules {
    /// Takes in a list: the generation, then lines of `/proc/PID/maps`. What can't be understood is left out.
    pub(crate) fn add(&mut self, text: &str) {
        let mut lines = text.lines();
        let Some(generation) = lines.next().and_then(|line| line.parse().ok()) else { return };
        for line in lines {
            if let Some((start, mapping)) = parse(line) {
                self.mappings.insert((generation, start), mapping);
            }
        }
    }

    /// The file that an address's code comes from, and where in that file.
    pub fn locate(&self, generation: u32, address: u64) -> Option<(&str, u64)> {
        let (&(_, start), mapping) = self.mappings.range((generation, 0)..=(generation, address)).next_back()?;
        (address < mapping.end && !mapping.path.is_empty())
            .then(|| (mapping.path.as_str(), (address - start).saturating_add(mapping.offset)))
    }

    /// Files that are not what they were at a time, seconds since 1970: written to, replaced, or gone. Names from them may be wrong.
    #[cfg(feature = "report")]
    pub fn changed_since(&self, time: f64) -> Vec<&str> {
        let files: BTreeSet<&str> = self.mappings.values().map(|mapping| mapping.path.as_str()).collect();
        let is_changed = |path: &&str| {
            // The status changes with the contents, and when a file comes to stand under its name, however old its contents are.
            std::fs::metadata(path).map_or(true, |file| file.ctime() as f64 + file.ctime_nsec() as f64 / 1e9 > time)
        };
        // Others are the kernel's.
        files.into_iter().filter(|path| path.starts_with('/')).filter(is_changed).collect()
    }
}

fn parse(line: &str) -> Option<(u64, Mapping)> {
    let mut columns = line.splitn(6, ' ');
    let (start, end) = columns.next()?.split_once('-')?;
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    columns.next()?;
    let offset = hexadecimal(columns.next()?)?;
    let path = columns.nth(2).unwrap_or_default().trim_start().to_owned();
    Some((hexadecimal(start)?, Mapping { end: hexadecimal(end)?, offset, path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "report")]
    #[test]
    fn files_that_were_written_later_or_are_gone_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("here");
        std::fs::write(&here, "code").unwrap();
        let file = std::fs::metadata(&here).unwrap();
        let changed = file.ctime() as f64 + file.ctime_nsec() as f64 / 1e9;
        let mut modules = Modules::default();
        let (here, gone) = (here.to_str().unwrap(), folder.path().join("gone"));
        let gone = gone.to_str().unwrap();
        modules.add(&format!(
            "0\n1000-2000 r-xp 0 fd:00 7 {here}\n2000-3000 r-xp 0 fd:00 8 {gone}\n3000-4000 r-xp 0 00:00 0 [vdso]\n"
        ));
        assert_eq!(modules.changed_since(changed - 1.0), [gone, here]);
        assert_eq!(modules.changed_since(changed + 1.0), [gone]);
    }

    #[test]
    fn addresses_are_found_in_their_generation() {
        let mut modules = Modules::default();
        modules.add("0\n1000-3000 r-xp 00000800 fd:00 7     /lib/a b.so\n5000-6000 r-xp 00000000 00:00 0 \nnonsense\n");
        modules.add("1\n1000-2000 r-xp 00000000 fd:00 8     /lib/c.so\n");
        modules.add("no number\n");
        assert_eq!(modules.locate(0, 0x1010), Some(("/lib/a b.so", 0x810)));
        assert_eq!(modules.locate(0, 0x3000), None);
        assert_eq!(modules.locate(0, 0x5000), None);
        assert_eq!(modules.locate(1, 0x1010), Some(("/lib/c.so", 0x10)));
        assert_eq!(modules.locate(1, 0x2010), None);
        assert_eq!(modules.locate(2, 0x1010), None);
    }
}
