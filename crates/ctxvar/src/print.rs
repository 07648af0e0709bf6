//! A value's text, for `Debug` of a context: of common types without being asked, of others where the variable says how.

use std::any::Any;
use std::fmt::{self, Debug};
use std::time::{Duration, Instant, SystemTime};

/// Prints a value of one of the types below; `None` for another one.
pub(crate) fn common(value: &dyn Any, f: &mut fmt::Formatter<'_>) -> Option<fmt::Result> {
    macro_rules! first_of {
        ($($type:ty),*) => {
            $(if let Some(value) = value.downcast_ref::<$type>() {
                return Some(value.fmt(f));
            })*
        };
    }
    first_of!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, bool, char, ());
    first_of!(&'static str, String, Box<str>, std::sync::Arc<str>, std::borrow::Cow<'static, str>);
    first_of!(
        Duration,
        Instant,
        SystemTime,
        std::path::PathBuf,
        std::thread::ThreadId,
        std::net::IpAddr,
        std::net::SocketAddr
    );
    None
}
