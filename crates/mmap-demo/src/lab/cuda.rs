//! The ten functions of NVIDIA's driver that the experiment needs, found when it runs.
//!
//! Types and numbers are those of `cuda.h` (CUDA Driver API reference, "Data types used by CUDA driver"). Nothing is linked: where the
//! library is missing, that is a value, and no panic.

use std::error::Error as _;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

use libloading::os::unix::{Library, Symbol};

/// Names another library than the driver's, for tests.
pub(super) const LIBRARY: &str = "MMAP_DEMO_CUDA";
const DRIVER: &str = "libcuda.so.1";

const OUT_OF_MEMORY: c_int = 2;
const NO_DEVICE: c_int = 100;
const OPERATING_SYSTEM: c_int = 304;
const NOT_PERMITTED: c_int = 800;

/// Why there is no figure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoGpu {
    #[error("there is no driver for NVIDIA's GPUs: {0}")]
    NoDriverLibrary(String),
    #[error("the driver finds no GPU")]
    NoDevice,
    #[error("the driver can't be begun: {what} gave {code} ({name})")]
    InitFailed { what: &'static str, code: i32, name: String },
    #[error("the GPU's memory, or the host's, is too short: {0} said so")]
    OutOfMemory(&'static str),
    #[error("the GPU may not be used: {what} gave {code} ({name})")]
    NotPermitted { what: &'static str, code: i32, name: String },
}

impl NoGpu {
    fn missing(error: &libloading::Error) -> Self {
        // What the loader said stands behind what was tried.
        let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        Self::NoDriverLibrary(said)
    }

    /// A word for programs.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoDriverLibrary(_) => "no_driver_library",
            Self::NoDevice => "no_device",
            Self::InitFailed { .. } => "init_failed",
            Self::OutOfMemory(_) => "out_of_memory",
            Self::NotPermitted { .. } => "not_permitted",
        }
    }
}

type Call<A> = unsafe extern "C" fn(A) -> c_int;
type Call2<A, B> = unsafe extern "C" fn(A, B) -> c_int;
type Call3<A, B, C> = unsafe extern "C" fn(A, B, C) -> c_int;

/// The driver, begun, with its first device.
#[derive(Debug)]
pub(super) struct Driver {
    error_name: Symbol<Call2<c_int, *mut *const c_char>>,
    init: Symbol<Call<c_uint>>,
    device_count: Symbol<Call<*mut c_int>>,
    device: Symbol<Call2<*mut c_int, c_int>>,
    retain: Symbol<Call2<*mut *mut c_void, c_int>>,
    set_current: Symbol<Call<*mut c_void>>,
    release: Symbol<Call<c_int>>,
    alloc: Symbol<Call2<*mut u64, usize>>,
    set: Symbol<Call3<u64, u8, usize>>,
    synchronize: Symbol<unsafe extern "C" fn() -> c_int>,
    free: Symbol<Call<u64>>,
    host_alloc: Symbol<Call3<*mut *mut c_void, usize, c_uint>>,
    host_free: Symbol<Call<*mut c_void>>,
    /// Last, so that it is dropped when nobody has a function of it any more.
    _library: Library,
}

impl Driver {
    pub(super) fn load() -> Result<Self, NoGpu> {
        let name = std::env::var_os(LIBRARY).unwrap_or_else(|| DRIVER.into());
        // SAFETY: the driver's library has nothing that runs when it is loaded but what every CUDA program lets run.
        let library = unsafe { Library::new(name) }.map_err(|error| NoGpu::missing(&error))?;
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: of this name, `cuda.h` has a function of the type of the field that it goes to.
                unsafe { library.get($name) }.map_err(|error| NoGpu::missing(&error))?
            };
        }
        Ok(Self {
            error_name: symbol!(b"cuGetErrorName"),
            init: symbol!(b"cuInit"),
            device_count: symbol!(b"cuDeviceGetCount"),
            device: symbol!(b"cuDeviceGet"),
            retain: symbol!(b"cuDevicePrimaryCtxRetain"),
            set_current: symbol!(b"cuCtxSetCurrent"),
            release: symbol!(b"cuDevicePrimaryCtxRelease_v2"),
            alloc: symbol!(b"cuMemAlloc_v2"),
            set: symbol!(b"cuMemsetD8_v2"),
            synchronize: symbol!(b"cuCtxSynchronize"),
            free: symbol!(b"cuMemFree_v2"),
            host_alloc: symbol!(b"cuMemHostAlloc"),
            host_free: symbol!(b"cuMemFreeHost"),
            _library: library,
        })
    }

    fn named(&self, code: c_int) -> String {
        let mut name = ptr::null();
        // SAFETY: there is room for the pointer; the text is the library's, and lives as long as it.
        unsafe {
            if (self.error_name)(code, &raw mut name) != 0 || name.is_null() {
                return "an error without a name".to_owned();
            }
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }

    fn succeeded(&self, what: &'static str, code: c_int) -> Result<(), NoGpu> {
        match code {
            0 => Ok(()),
            NO_DEVICE => Err(NoGpu::NoDevice),
            OUT_OF_MEMORY => Err(NoGpu::OutOfMemory(what)),
            NOT_PERMITTED | OPERATING_SYSTEM => Err(NoGpu::NotPermitted { what, code, name: self.named(code) }),
            _ => Err(NoGpu::InitFailed { what, code, name: self.named(code) }),
        }
    }

    /// Begins the driver, and takes the first device.
    pub(super) fn begin(&self) -> Result<Device<'_>, NoGpu> {
        let (mut count, mut number) = (0, 0);
        // SAFETY: as in `cuda.h`: no flags; room for a number each.
        unsafe {
            self.succeeded("cuInit", (self.init)(0))?;
            self.succeeded("cuDeviceGetCount", (self.device_count)(&raw mut count))?;
            if count == 0 {
                return Err(NoGpu::NoDevice);
            }
            self.succeeded("cuDeviceGet", (self.device)(&raw mut number, 0))?;
        }
        Ok(Device { driver: self, number })
    }
}

/// A GPU.
#[derive(Debug)]
pub(super) struct Device<'a> {
    driver: &'a Driver,
    number: c_int,
}

impl<'a> Device<'a> {
    pub(super) fn context(&self) -> Result<Context<'a>, NoGpu> {
        let driver = self.driver;
        let mut context = ptr::null_mut();
        // SAFETY: the device is one that the driver gave; there is room for the pointer.
        unsafe { driver.succeeded("cuDevicePrimaryCtxRetain", (driver.retain)(&raw mut context, self.number))? };
        let held = Context { driver, number: self.number };
        // SAFETY: the context that was just made.
        unsafe { driver.succeeded("cuCtxSetCurrent", (driver.set_current)(context))? };
        Ok(held)
    }
}

/// The device's context, current in this thread.
#[derive(Debug)]
pub(super) struct Context<'a> {
    driver: &'a Driver,
    number: c_int,
}

impl<'a> Context<'a> {
    /// Memory of the device, written to, so that it is there.
    pub(super) fn memory(&self, length: usize) -> Result<Memory<'_, 'a>, NoGpu> {
        let driver = self.driver;
        let mut address = 0;
        // SAFETY: room for the address; what is written to is what was allocated.
        unsafe {
            driver.succeeded("cuMemAlloc", (driver.alloc)(&raw mut address, length))?;
            let memory = Memory { context: self, address };
            driver.succeeded("cuMemsetD8", (driver.set)(address, 1, length))?;
            driver.succeeded("cuCtxSynchronize", (driver.synchronize)())?;
            Ok(memory)
        }
    }

    /// Memory of the host that the device may read.
    pub(super) fn pinned(&self, length: usize) -> Result<Pinned<'_, 'a>, NoGpu> {
        let mut address = ptr::null_mut();
        // SAFETY: room for the address; no flags.
        let code = unsafe { (self.driver.host_alloc)(&raw mut address, length, 0) };
        self.driver.succeeded("cuMemHostAlloc", code)?;
        Ok(Pinned { context: self, address })
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: it was retained once.
        let _ = unsafe { (self.driver.release)(self.number) };
    }
}

/// See [`Context::memory`].
#[derive(Debug)]
pub(super) struct Memory<'c, 'a> {
    context: &'c Context<'a>,
    address: u64,
}

impl Drop for Memory<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: allocated once, in this context.
        let _ = unsafe { (self.context.driver.free)(self.address) };
    }
}

/// See [`Context::pinned`].
#[derive(Debug)]
pub(super) struct Pinned<'c, 'a> {
    context: &'c Context<'a>,
    address: *mut c_void,
}

impl Drop for Pinned<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: allocated once, in this context.
        let _ = unsafe { (self.context.driver.host_free)(self.address) };
    }
}
