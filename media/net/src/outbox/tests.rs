use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::Duration;

use super::*;
use crate::endpoint::{Batch, Merging};

fn bound(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 4_096];
    let (len, _) = socket.recv_from(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn no_failure(count: usize, error: &io::Error) {
    panic!("{count} datagrams were not sent: {error}");
}

/// Lengths of runs a chain of datagrams is split into.
fn run_lengths(segmentation: bool, lengths: &[usize]) -> Vec<u16> {
    let mut outbox = Outbox::new();
    outbox.set_segmentation(segmentation);
    for len in lengths {
        assert!(outbox.push(None, "127.0.0.1:9".parse().unwrap(), &vec![0; *len]));
    }
    outbox.collect_runs();
    outbox.runs.iter().map(|run| run.count).collect()
}

#[test]
fn runs_are_of_equal_length_but_the_last_may_be_shorter() {
    for (lengths, runs) in [
        (&[100][..], &[1][..]),
        (&[100, 100, 100], &[3]),
        (&[100, 100, 40], &[3]),
        (&[100, 40, 40], &[2, 1]),
        (&[100, 40, 100], &[2, 1]),
        (&[40, 100, 100], &[1, 2]),
        (&[0, 0], &[1, 1]),
        (&[100, 0], &[1, 1]),
        (&[1; 65], &[64, 1]),
        (&[2_000; 33], &[32, 1]),
    ] {
        assert_eq!(run_lengths(true, lengths), runs, "{lengths:?}");
        assert_eq!(run_lengths(false, lengths), vec![1; lengths.len()], "{lengths:?}");
    }
}

#[test]
fn every_destination_gets_its_datagrams_in_order() {
    for segmentation in [true, false] {
        let sender = Endpoint::new(bound("127.0.0.1:0"), Merging::Off).unwrap();
        let receivers: Vec<_> = (0..7).map(|_| bound("127.0.0.1:0")).collect();
        let mut outbox = Outbox::new();
        outbox.set_segmentation(segmentation);
        let mut expected: HashMap<usize, Vec<Vec<u8>>> = HashMap::new();
        for round in 0..3_usize {
            for step in 0..Outbox::CAPACITY {
                let to = (step * 5 + round) % receivers.len();
                let len = [700, 700, 700, 90, 1_200][step / 9 % 5];
                let mut datagram = vec![to as u8; len];
                datagram[..8].copy_from_slice(&(round * 1_000 + step).to_be_bytes());
                let destination = receivers[to].local_addr().unwrap();
                assert!(outbox.push(None, destination, &datagram));
                expected.entry(to).or_default().push(datagram);
            }
            assert!(outbox.is_full());
            assert!(!outbox.push(None, "127.0.0.1:9".parse().unwrap(), &[1]));
            outbox.flush(&sender, no_failure);
            assert!(outbox.is_empty());
            for (to, datagrams) in expected.drain() {
                for datagram in datagrams {
                    assert_eq!(received(&receivers[to]), datagram);
                }
            }
        }
    }
}

#[test]
fn source_address_is_the_one_asked_for() {
    let receiver = bound("127.0.0.1:0");
    let sender = bound("0.0.0.0:0");
    let port = sender.local_addr().unwrap().port();
    let sender = Endpoint::new(sender, Merging::Off).unwrap();
    let mut outbox = Outbox::new();
    let destination = receiver.local_addr().unwrap();
    let sources = ["127.0.0.5", "127.1.2.3", "127.0.0.5"];
    for source in sources {
        assert!(outbox.push(Some(source.parse().unwrap()), destination, source.as_bytes()));
    }
    outbox.flush(&sender, no_failure);
    for _ in sources {
        let mut buffer = [0; 64];
        let (len, from) = receiver.recv_from(&mut buffer).unwrap();
        let claimed = std::str::from_utf8(&buffer[..len]).unwrap();
        assert_eq!(from, SocketAddr::new(claimed.parse().unwrap(), port));
    }
}

#[test]
fn ipv6_datagrams_leave_with_their_source() {
    let Ok(receiver) = UdpSocket::bind("[::1]:0") else { return };
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let sender = Endpoint::new(bound("[::]:0"), Merging::Off).unwrap();
    let mut outbox = Outbox::new();
    let source = Some("::1".parse().unwrap());
    for number in 0..4_u8 {
        assert!(outbox.push(source, receiver.local_addr().unwrap(), &[number; 300]));
    }
    outbox.flush(&sender, no_failure);
    for number in 0..4_u8 {
        assert_eq!(received(&receiver), [number; 300]);
    }
}

#[test]
fn a_destination_that_fails_does_not_keep_others_from_their_datagrams() {
    let sender = Endpoint::new(bound("127.0.0.1:0"), Merging::Off).unwrap();
    let receiver = bound("127.0.0.1:0");
    let mut outbox = Outbox::new();
    // Loopback can't reach it, IPv4 sockets can't send to it: both are errors of one message.
    let unreachable: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
    let reachable = receiver.local_addr().unwrap();
    for number in 0..3_u8 {
        assert!(outbox.push(None, unreachable, &[number; 100]));
        assert!(outbox.push(None, reachable, &[number; 200]));
    }
    let mut failures = 0;
    outbox.flush(&sender, |count, _| failures += count);
    assert_eq!(failures, 3);
    for number in 0..3_u8 {
        assert_eq!(received(&receiver), [number; 200]);
    }
    assert!(outbox.push(None, reachable, b"next"));
    outbox.flush(&sender, no_failure);
    assert_eq!(received(&receiver), b"next");
}

#[test]
fn oversized_datagrams_are_refused() {
    let mut outbox = Outbox::new();
    assert!(!outbox.push(None, "127.0.0.1:9".parse().unwrap(), &[0; MAX_DATAGRAM + 1]));
    assert!(outbox.is_empty());
}

#[test]
fn merged_datagrams_come_out_as_they_went_in() {
    for merging in [Merging::Off, Merging::On] {
        let socket = bound("127.0.0.1:0");
        let destination = socket.local_addr().unwrap();
        let receiver = Endpoint::new(socket, merging).unwrap();
        let sender = Endpoint::new(bound("127.0.0.1:0"), Merging::Off).unwrap();
        let lengths = [1_100, 1_100, 1_100, 400, 1_100, 60, 60, 1_900];
        let sent: Vec<Vec<u8>> =
            lengths.iter().enumerate().map(|(index, len)| vec![index as u8; *len]).collect();
        let mut outbox = Outbox::new();
        for datagram in &sent {
            assert!(outbox.push(None, destination, datagram));
        }
        outbox.flush(&sender, no_failure);
        let (mut batch, mut arrived, mut messages) = (Batch::new(merging), Vec::new(), 0);
        // On loopback everything is there when the call that sent it returns.
        loop {
            let count = batch.receive(&receiver);
            if count == 0 {
                break;
            }
            messages += count;
            for index in 0..count {
                let message = batch.message(index);
                assert!(message.arrived.is_some() && message.local == Some(destination.ip()));
                arrived.extend(message.into_datagrams().map(|datagram| datagram.to_vec()));
            }
        }
        assert_eq!(arrived, sent, "{merging:?}");
        assert!(messages <= sent.len() && (merging == Merging::On || messages == sent.len()));
    }
}
