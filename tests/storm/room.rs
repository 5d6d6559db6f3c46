//! No room to write: the change is refused with the cause and changes nothing, the cause is on `/readyz` and
//! in the log, and once there is room everything goes on by itself.

use cmp_console::clock::Clock;
use cmp_console::store::{Store, audit};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::client::{Client, an_adapter, ready};
use crate::daemon::{Daemon, eventually};

/// How large the server's files may become, in bytes.
fn room(it: &Daemon, most: Option<u64>) {
    let limit = Rlimit {
        current: most,
        maximum: None,
    };
    prlimit(Some(Pid::from_raw(it.pid()).unwrap()), Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn without_room_for_the_audit_row_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/cmp.db", dir.path().display());
    // A write beyond the limit would end the process; ignored, it fails as on a disk without room.
    let it = Daemon::ignoring_file_size(&database, &["--listen", "127.0.0.1:0", "--roles", "api"]).await;
    let store = Store::open(&database, Clock::system()).await.unwrap();
    an_adapter(&database).await;
    let client = Client::new(&database, vec![it.address.clone()]).await;
    assert_eq!(client.ask_once(1).await.0, 202);
    let before = audit::verify(&store).await.unwrap();

    room(&it, Some(4096));
    for n in [2, 3] {
        let (status, problem) = client.ask_once(n).await;
        assert_eq!(status, 503, "{problem}");
        let what = problem["title"].as_str().unwrap();
        assert!(what.ends_with("its disk can't be written"), "{problem}");
        let next = problem["detail"].as_str().unwrap();
        assert!(
            next.starts_with("nothing was changed; look for room"),
            "{problem}"
        );
    }
    let (status, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!(
        (status, state.as_str()),
        (200, "degraded"),
        "it still reads: {note}"
    );
    assert!(
        note.starts_with("its disk can't be written: look for room"),
        "{note}"
    );
    it.logged(
        "changes can't be made: the database: its disk can't be written",
        1,
    )
    .await;
    assert_eq!(
        audit::verify(&store).await.unwrap(),
        before,
        "nothing is half there"
    );

    room(&it, None);
    client.ask(2).await;
    let (_, state, note) = ready(&it.address, "database").await.unwrap();
    assert_eq!((state.as_str(), note.as_str()), ("up", ""));
    it.logged("changes can be made again", 1).await;
    let (n_rows, _) = audit::verify(&store).await.unwrap();
    assert_eq!(n_rows, before.0 + 1, "the refused ones left no gap");
    store.close().await;
    eventually("it still answers", async || {
        (client.ask_once(3).await.0 == 202).then_some(())
    })
    .await;
}
