//! The tables for exceptions (`.eh_frame`): found in a module, and read by gimli.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, LittleEndian, Pointer, ReaderOffset, Register, RegisterRule,
    UnwindContext, UnwindContextStorage, UnwindSection, UnwindTableRow, X86_64,
};

use super::Rule;
use crate::system;
/// Room for gimli's work, on the stack. Rows that need more are given up.
struct OnStack;

impl<T: ReaderOffset> UnwindContextStorage<T> for OnStack {
    type Rules = [(Register, RegisterRule<T>); 24];
    type Stack = [UnwindTableRow<T, Self>; 3];
}

/// What the tables of the module whose file is mapped from `header` on say of a return address.
pub(super) fn read(header: usize, address: usize) -> Option<Rule> {
    let tables = tables(header)?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(tables.index.0 as u64);
    // SAFETY: `tables` has found that it is mapped, and the loader leaves it as it is.
    let index = unsafe { core::slice::from_raw_parts(tables.index.0 as *const u8, tables.index.1) };
    let index = EhFrameHdr::new(index, LittleEndian).parse(&bases, 8).ok()?;
    let Pointer::Direct(begin) = index.eh_frame_ptr() else { return None };
    let length = tables.segment_end.checked_sub(begin as usize)?;
    if !system::is_mapped(begin as usize, length) || !system::is_readable(begin as usize) {
        return None;
    }
    let bases = bases.set_eh_frame(begin);
    // SAFETY: as above.
    let frames = unsafe { core::slice::from_raw_parts(begin as *const u8, length) };
    let frames = EhFrame::new(frames, LittleEndian);
    let mut context = UnwindContext::<_, OnStack>::new_in();
    // The call may have been the last instruction of its function.
    let call = address as u64 - 1;
    let row = index.table()?.unwind_info_for_address(&frames, &bases, &mut context, call, EhFrame::cie_from_offset);
    Some(understand(row.ok()?))
}

fn understand<T: ReaderOffset, S: UnwindContextStorage<T>>(row: &UnwindTableRow<T, S>) -> Rule {
    match row.register(X86_64::RA) {
        Some(RegisterRule::Undefined) => return Rule::END,
        Some(RegisterRule::Offset(-8)) => {}
        _ => return Rule::MISSING,
    }
    let CfaRule::RegisterAndOffset { register, offset } = *row.cfa() else { return Rule::MISSING };
    let from_frame_pointer = register == X86_64::RBP;
    let saved = match row.register(X86_64::RBP) {
        None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => None,
        // No distance is 0 or goes up: `new` refuses those.
        Some(RegisterRule::Offset(down)) => Some(u64::try_from(-down).unwrap_or(0)),
        Some(_) => return Rule::MISSING,
    };
    match u64::try_from(offset) {
        Ok(up) if from_frame_pointer || register == X86_64::RSP => Rule::new(from_frame_pointer, up, saved),
        _ => Rule::MISSING,
    }
}

struct Tables {
    /// Of `.eh_frame_hdr`: address and length.
    index: (usize, usize),
    /// Where the segment ends that `.eh_frame` is in, too.
    segment_end: usize,
}

/// Finds the tables by the headers of an ELF file that is mapped from `header` on (Tool Interface Standard, ELF 1.2, and Linux Standard
/// Base 5.0, 10.6, for the segment that names the tables).
fn tables(header: usize) -> Option<Tables> {
    const MOST_SEGMENTS: usize = 64;
    const LOADED: u32 = 1;
    const TABLES: u32 = 0x6474_e550;
    if !system::is_mapped(header, 4096) || !system::is_readable(header) {
        return None;
    }
    // SAFETY: all that is asked for lies in the page that was found mapped.
    let word = |at: usize| unsafe { ((header + at) as *const u64).read_unaligned() };
    // "\x7fELF", 64 bits, little endian, version 1; entries of 56 bytes.
    if word(0) & 0xff_ffff_ffff_ffff != 0x01_0102_464c_457f || word(54) & 0xffff != 56 {
        return None;
    }
    let (segments, count) = (word(32) as usize, (word(56) & 0xffff) as usize);
    if count > MOST_SEGMENTS || segments.checked_add(count * 56)? > 4096 {
        return None;
    }
    let all = || {
        (0..count).map(|number| {
            let at = segments + 56 * number;
            let address = word(at + 16) as usize;
            (word(at) as u32, word(at + 8), address, word(at + 32) as usize)
        })
    };
    // The segment that begins with the file's first byte tells by how much all were moved.
    let first = all().find(|&(kind, offset, ..)| kind == LOADED && offset == 0)?;
    let moved = header.wrapping_sub(first.2 & !0xfff);
    let (.., index, length) = all().find(|&(kind, ..)| kind == TABLES)?;
    let holds =
        |&(kind, _, from, length): &(u32, u64, usize, usize)| kind == LOADED && index.wrapping_sub(from) < length;
    let (.., from, segment_length) = all().find(holds)?;
    let index = (index.wrapping_add(moved), length);
    let segment_end = from.wrapping_add(moved).checked_add(segment_length)?;
    (system::is_mapped(index.0, index.1) && system::is_readable(index.0)).then_some(Tables { index, segment_end })
}
