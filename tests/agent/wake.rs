//! Wake-ups.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_keep_nobody_from_waking_the_agent() {
    let mut night = Night::start(None).await;
    let address = night.wake_address.trim_start_matches("http://").to_owned();
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    assert!(wake(&night.wake_address, LIMIT).await.unwrap().reported);
    // The connections beyond the 128 that it holds have made room, the longest idle ones first.
    for mut stream in idle.into_iter().take(72) {
        let mut byte = [0];
        let n = tokio::time::timeout(LIMIT, stream.read(&mut byte)).await;
        assert_eq!(n.expect("it is closed").unwrap_or(0), 0);
    }
    night.stop_agent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_backed_off_far_stays_quiet_until_it_is_woken() {
    let mut night = Night::start(None).await;
    until("the first report", || {
        (!night.platform.lock().unwrap().reports.is_empty()).then_some(())
    })
    .await;
    night.stop_agent().await;
    let far: DateTime<Utc> = Clock::system().now() + TimeDelta::hours(9);
    let schedule = Schedule {
        due_at: Some(far),
        set_at: None,
        n_failures: 7,
        interval_s: 60,
    };
    schedule.write(&night.config.state_dir).unwrap();
    let n_reports = night.platform.lock().unwrap().reports.len();
    night.start_agent(None).await;
    let healthy = TcpListener::bind("127.0.0.1:0").await.is_ok();
    assert!(healthy);
    assert_eq!(night.platform.lock().unwrap().reports.len(), n_reports);

    // A flood shares check-ins.
    let calls = (0..40).map(|_| wake(&night.wake_address, LIMIT));
    let replies = futures::future::join_all(calls).await;
    assert!(
        replies
            .iter()
            .all(|reply| reply.as_ref().is_ok_and(|reply| reply.reported))
    );
    let n_more = night.platform.lock().unwrap().reports.len() - n_reports;
    assert!((1..=5).contains(&n_more), "{n_more} check-ins for 40 calls");
    let schedule = Schedule::read(&night.config.state_dir);
    assert_eq!((schedule.n_failures, schedule.interval_s), (0, 3600));
    assert!(schedule.due_at.unwrap() < far);

    // With the platform down the caller is told, and the back-off begins.
    night.platform.lock().unwrap().down = true;
    let reply = wake(&night.wake_address, LIMIT).await.unwrap();
    assert!(!reply.reported);
    assert!(reply.problem.is_some());
    assert_eq!(Schedule::read(&night.config.state_dir).n_failures, 1);
}
