//! Alone in its process, because it counts the process's descriptors and threads.

mod support;

use support::*;

fn entries(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[test]
fn fifty_engines_leave_no_descriptor_and_no_thread() {
    let certificate = std::sync::Arc::new(media_core::Certificate::generate().unwrap());
    let cycle = |index: u64| {
        let engine =
            media_net::Engine::start(config(&["127.0.0.1:0"]), certificate.clone()).unwrap();
        create_transport(&engine, 1, 1);
        engine.command(failing(index + 2)).unwrap();
        wait_event(&engine, |event| failed(event, index + 2));
        // Every second one is only dropped.
        if index.is_multiple_of(2) {
            engine.close().unwrap();
        }
    };
    cycle(0);
    let before = (entries("/proc/self/fd"), entries("/proc/self/task"));
    (0..50).for_each(cycle);
    assert_eq!((entries("/proc/self/fd"), entries("/proc/self/task")), before);
}
