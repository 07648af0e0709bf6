//! contenders
