//! Many reads at once, by `io_uring`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, types};

use super::{Failure, Trying};

/// A queue of the kernel's for reads.
pub(super) struct Ring {
    ring: IoUring,
    buffers: Vec<Vec<u8>>,
}

impl Ring {
    /// For so many reads at once, of `piece` bytes each.
    ///
    /// # Errors
    /// Where the kernel has no such thing, or forbids it (`kernel.io_uring_disabled`, seccomp).
    pub(super) fn new(reads: u32, piece: usize) -> Result<Self, Failure> {
        let ring = IoUring::new(reads).trying("to set io_uring up")?;
        Ok(Self { ring, buffers: vec![vec![0; piece]; reads as usize] })
    }

    /// How many reads go at once.
    pub(super) fn depth(&self) -> usize {
        self.buffers.len()
    }

    /// Reads a piece from each of these places, at most as many as fit at once, and waits for all. Read them in the order of the places.
    pub(super) fn read(&mut self, file: &File, places: &[u64]) -> Result<impl Iterator<Item = &[u8]>, Failure> {
        assert!(places.len() <= self.buffers.len(), "as many as fit");
        let descriptor = types::Fd(file.as_raw_fd());
        for (index, (&place, buffer)) in places.iter().zip(&mut self.buffers).enumerate() {
            let read = opcode::Read::new(descriptor, buffer.as_mut_ptr(), buffer.len() as u32);
            let entry = read.offset(place).build().user_data(index as u64);
            // SAFETY: buffer and file are there until the kernel is done: below, nobody leaves before all reads have ended.
            unsafe { self.ring.submission().push(&entry) }.expect("there is room for as many as there are buffers");
        }
        let (mut ended, mut failed) = (0, None);
        while ended < places.len() {
            let waited = self.ring.submit_and_wait(places.len() - ended);
            for entry in self.ring.completion() {
                ended += 1;
                let wanted = self.buffers[entry.user_data() as usize].len();
                match usize::try_from(entry.result()) {
                    Err(_) => failed = Some(io::Error::from_raw_os_error(-entry.result())),
                    Ok(read) if read < wanted => failed = Some(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {}
                }
            }
            match waited {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    // Some may be on their way: their buffers are left to them for ever.
                    std::mem::forget(std::mem::take(&mut self.buffers));
                    return Err(error).trying("to wait for io_uring");
                }
                _ => {}
            }
        }
        match failed {
            Some(error) => Err(error).trying("to read by io_uring"),
            None => Ok(self.buffers[..places.len()].iter().map(Vec::as_slice)),
        }
    }
}
