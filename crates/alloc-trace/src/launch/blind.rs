//! What can't be traced, told before a program starts.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use object::read::ReadCache;
use object::{Object, ObjectSymbol};

/// Scripts that the interpreter of a script may be, in turn: more the kernel doesn't follow either.
const MOST_SCRIPTS: usize = 4;

/// An error if nothing of a program can be seen, and a note if something can't.
pub(super) fn blind(path: &Path) -> Result<Option<String>, String> {
    through(path, MOST_SCRIPTS)
}

fn through(path: &Path, scripts: usize) -> Result<Option<String>, String> {
    let shown = path.display();
    let metadata = path.metadata().map_err(|error| format!("{shown}: can't be read: {error}"))?;
    let privileged = metadata.mode() & 0o6000 != 0 && !(metadata.uid() == own_user() && metadata.mode() & 0o2000 == 0);
    if privileged {
        return Err(format!(
            "{shown} is setuid or setgid: the loader ignores preloaded libraries there, so nothing could be seen"
        ));
    }
    let mut file = File::open(path).map_err(|error| format!("{shown}: can't be read: {error}"))?;
    let mut begin = Vec::new();
    file.by_ref().take(256).read_to_end(&mut begin).map_err(|error| format!("{shown}: can't be read: {error}"))?;
    if let Some(line) = begin.strip_prefix(b"#!") {
        let line = String::from_utf8_lossy(line.split(|&byte| byte == b'\n').next().unwrap_or_default()).into_owned();
        let interpreter = line.split_whitespace().next().unwrap_or_default();
        return match scripts.checked_sub(1) {
            Some(scripts) => through(Path::new(interpreter), scripts),
            None => {
                Err(format!("{shown} is a script for a script, for one, and so on: the kernel runs none like that"))
            }
        };
    }
    if !begin.starts_with(b"\x7fELF") {
        return Err(format!("{shown} is no ELF program, so there is nothing to load a library into"));
    }
    let cache = ReadCache::new(file);
    let elf = object::read::elf::ElfFile64::<object::Endianness, _>::parse(&cache)
        .map_err(|_| format!("{shown} is a program of 32 bits: the library, of 64, can't be loaded into it"))?;
    if elf.architecture() != object::Architecture::X86_64 || !cfg!(target_arch = "x86_64") {
        return Err(format!("{shown} is a program for {:?}: the library is for x86-64 alone", elf.architecture()));
    }
    let endian = elf.endian();
    let has_loader = elf.elf_program_headers().iter().any(|header| header.p_type.get(endian) == object::elf::PT_INTERP);
    if !has_loader {
        return Err(format!(
            "{shown} is statically linked: no loader runs that could load a library, so nothing can be seen"
        ));
    }
    let own = elf.dynamic_symbols().any(|symbol| symbol.is_definition() && symbol.name() == Ok("malloc"));
    if own {
        return Ok(Some(format!(
            "{shown} has a malloc of its own, which comes before the library's: its blocks can't be seen"
        )));
    }
    let inner = elf.symbols().find_map(|symbol| {
        let name = symbol.name().ok().filter(|_| symbol.is_definition())?;
        [("_rjem_malloc", "jemalloc"), ("mi_malloc", "mimalloc"), ("tc_malloc", "tcmalloc")]
            .into_iter()
            .find_map(|(known, allocator)| (name == known).then_some(allocator))
    });
    Ok(inner.map(|allocator| {
        format!("{shown} has {allocator} inside, under names of its own: blocks from there can't be seen, what goes through malloc can")
    }))
}

/// Whose files are this user's.
fn own_user() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |own| own.uid())
}
