#![allow(missing_docs)]
fn main() {
    for f in std::env::args().skip(1) {
        let s = sched_sim::scenario::read::file(std::path::Path::new(&f)).unwrap();
        let t=std::time::Instant::now();
        let o = sched_sim::simulate(&s, &Default::default()).unwrap();
        eprintln!("{:?} {} events {:.1} ns/event", t.elapsed(), o.counters.events, t.elapsed().as_nanos() as f64/o.counters.events as f64);
        println!("{}", serde_json::to_string(&o).unwrap());
    }
}
