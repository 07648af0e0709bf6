//! The deterministic mode: one seed, one run; virtual time; what exploring finds, and what it does not find where there is nothing.

mod exploring;
mod repeating;
mod running;
