//! The environment that the process was started with.

use crate::system::File;

/// Bytes of a value at most, with a zero behind.
pub(crate) const MOST_PATH: usize = 4096;

/// A variable that is a number, in digits.
pub(crate) fn number(name: &[u8]) -> Option<u64> {
    let mut digits = [0; 21];
    let length = variable(name, &mut digits)?;
    digits[..length].iter().try_fold(0_u64, |number, &digit| {
        number.checked_mul(10)?.checked_add(u64::from(char::from(digit).to_digit(10)?))
    })
}

/// A variable's value, from the environment that the process was started with; `environ` may not be set yet. The name ends in `=`.
pub(crate) fn variable(name: &[u8], into: &mut [u8]) -> Option<usize> {
    let file = File::open(c"/proc/self/environ", libc::O_RDONLY).ok()?;
    let mut buffer = [0; 1024];
    // Bytes of the name that have matched; `None` in a variable that is another, and in the value once it is being copied.
    let mut matched = Some(0);
    let mut value = None;
    'read: loop {
        let read = file.read(&mut buffer);
        if read == 0 {
            break;
        }
        for &byte in &buffer[..read] {
            if let Some(length) = &mut value {
                if byte == 0 || *length + 1 >= into.len().min(MOST_PATH + 1) {
                    break 'read;
                }
                into[*length] = byte;
                *length += 1;
            } else if byte == 0 {
                matched = Some(0);
            } else if let Some(count) = matched {
                matched = (name.get(count) == Some(&byte)).then_some(count + 1);
                if matched == Some(name.len()) {
                    value = Some(0);
                }
            }
        }
    }
    file.close();
    value.filter(|&length| length > 0 && length + 1 < into.len().min(MOST_PATH + 1))
}
