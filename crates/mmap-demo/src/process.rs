//! A process under observation: a handle that stays with it, and the reading of its files under `/proc`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::Errno;

/// A process, held by its directory under `/proc`.
///
/// The handle stays with the process: when it has ended, every reading gives [`ProcessError::Gone`], also when its number has been
/// given to another process since.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    directory: OwnedFd,
}

/// Why a process could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is no `/proc`, where the kernel tells about processes.
    #[error("no process can be looked at, for /proc is not mounted: `mount -t proc proc /proc` mounts it")]
    NoProc,
    /// There is no such process (any more).
    #[error("process {pid} has ended, or there never was one of that number")]
    Gone {
        /// Its number.
        pid: u32,
    },
    /// The kernel doesn't let us. Memory of processes of other users needs the right to trace them (`CAP_SYS_PTRACE`).
    #[error("/proc/{pid}/{file} may not be read: {source}; it takes the owner's or root's rights")]
    NotPermitted {
        /// Its number.
        pid: u32,
        /// The file.
        file: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Reading failed.
    #[error("/proc/{pid}/{file} can't be read: {source}")]
    Unreadable {
        /// Its number.
        pid: u32,
        /// The file.
        file: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file has not the form that we know.
    #[error("/proc/{pid}/{file} has not the expected form: {line:?}")]
    Form {
        /// Its number.
        pid: u32,
        /// The file.
        file: &'static str,
        /// The line that could not be understood.
        line: String,
    },
}

impl Process {
    /// This process.
    ///
    /// # Errors
    /// [`ProcessError::NoProc`] when `/proc` is not mounted.
    pub fn own() -> Result<Self, ProcessError> {
        Self::of(std::process::id())
    }

    /// The process of that number.
    ///
    /// ```
    /// let shell = mmap_demo::Process::of(std::os::unix::process::parent_id())?;
    /// # Ok::<(), mmap_demo::ProcessError>(())
    /// ```
    ///
    /// # Errors
    /// [`ProcessError::Gone`] when there is none, and [`ProcessError::NoProc`].
    pub fn of(pid: u32) -> Result<Self, ProcessError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, format!("/proc/{pid}"), flags, Mode::empty());
        directory.map(|directory| Self { pid, directory }).map_err(|errno| match errno {
            // Who asks is there, and has an entry.
            Errno::NOENT if statat(CWD, "/proc/self", AtFlags::SYMLINK_NOFOLLOW).is_err() => ProcessError::NoProc,
            errno => error_of(pid, "", errno.into()),
        })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Reads a whole file of the process into `text`, which is emptied before. Names of programs and files are any bytes: what is no UTF-8 is
    /// replaced.
    pub(crate) fn read(&self, file: &'static str, text: &mut String) -> Result<(), ProcessError> {
        text.clear();
        // What is UTF-8 stays where it was read to.
        let mut bytes = std::mem::take(text).into_bytes();
        self.open(file)?.read_to_end(&mut bytes).map_err(|error| error_of(self.pid, file, error))?;
        *text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Ok(())
    }

    pub(crate) fn open(&self, file: &'static str) -> Result<File, ProcessError> {
        let opened = openat(&self.directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        opened.map(File::from).map_err(|errno| error_of(self.pid, file, errno.into()))
    }

    pub(crate) fn form_error(&self, file: &'static str, line: &str) -> ProcessError {
        ProcessError::Form { pid: self.pid, file, line: line.to_owned() }
    }
}

pub(crate) fn error_of(pid: u32, file: &'static str, source: io::Error) -> ProcessError {
    match Errno::from_io_error(&source) {
        // ESRCH comes from files that were opened while the process lived.
        Some(Errno::NOENT | Errno::SRCH) => ProcessError::Gone { pid },
        Some(Errno::ACCESS | Errno::PERM) => ProcessError::NotPermitted { pid, file, source },
        _ => ProcessError::Unreadable { pid, file, source },
    }
}
