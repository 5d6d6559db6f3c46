//! What visitors may not do: send without end, too much or too slowly, hold every connection; and what
//! they are told of their requests.

use std::time::{Duration, Instant};

use cmp_console::domain::audit::AuditOutcome;
use cmp_console::services::serve::Bounds;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Server, noon};

/// A connection of one's own to the server.
async fn raw(it: &Server) -> TcpStream {
    let address = it.base.trim_start_matches("http://");
    TcpStream::connect(address).await.unwrap()
}

/// All that it says until it hangs up.
async fn said(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is a hang-up as well.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

fn short() -> Bounds {
    Bounds {
        head: Duration::from_millis(300),
        body: Duration::from_millis(300),
        answer: Duration::from_millis(300),
        connections: 2,
        per_address: 2,
        ..Bounds::default()
    }
}

#[tokio::test]
async fn who_sends_drop_by_drop_is_cut_and_others_get_their_turn() {
    let Some(it) = Server::start_within(short()).await else {
        return;
    };
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = raw(&it).await;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-")
            .await
            .unwrap();
        slow.push(tokio::spawn(async move {
            // Drops come more often than any limit on silence.
            let mut bytes = [0; 1];
            loop {
                let heard = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut bytes)).await;
                match heard {
                    Ok(Ok(0) | Err(_)) => break,
                    _ if stream.write_all(b"a").await.is_err() => break,
                    _ => {}
                }
            }
        }));
    }
    // All places are taken, so this one waits until one of them is cut.
    assert_eq!(it.call(Method::GET, "/healthz", "", "", None).await.0, 200);
    for cut in slow {
        cut.await.unwrap();
    }
}

#[tokio::test]
async fn idle_connections_make_room_and_one_with_a_question_on_it_stays() {
    let Some(it) = Server::start_within(Bounds {
        connections: 3,
        per_address: 3,
        ..Bounds::default()
    })
    .await
    else {
        return;
    };
    // Its head is whole and its body isn't: something is asked on it.
    let mut asking = raw(&it).await;
    let head = format!(
        "POST /api/v1/certs/{}/revoke HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 2\r\n\r\n{{",
        it.cert, it.operator
    );
    asking.write_all(head.as_bytes()).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(raw(&it).await);
    }
    assert_eq!(it.call(Method::GET, "/healthz", "", "", None).await.0, 200);
    // The oldest of them have gone, without a word.
    for stream in idle.into_iter().take(18) {
        assert_eq!(said(stream).await, "");
    }
    asking.write_all(b"}").await.unwrap();
    let mut answer = [0; 12];
    asking.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let Some(it) = Server::start_within(short()).await else {
        return;
    };
    let mut stream = raw(&it).await;
    let head = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let began = Instant::now();
    let answer = said(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(began.elapsed() >= short().head, "kept alive for a while");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_and_one_too_large_413_and_neither_leaves_a_row() {
    let Some(it) = Server::start_within(Bounds {
        answer: Bounds::default().answer,
        ..short()
    })
    .await
    else {
        return;
    };
    let head = format!(
        "POST /api/v1/certs/{}/revoke HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n",
        it.cert, it.operator
    );
    let mut stream = raw(&it).await;
    let late = format!("{head}content-length: 20\r\n\r\n{{");
    stream.write_all(late.as_bytes()).await.unwrap();
    let answer = said(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");

    let mut stream = raw(&it).await;
    let large = format!("{head}content-length: 2000000\r\n\r\n");
    stream.write_all(large.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; 1024 * 1024 + 1]).await.unwrap();
    let answer = said(stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("larger than 1024 KiB"), "{answer}");
    assert_eq!(it.rows().await.len(), 0);
}

#[tokio::test]
async fn a_change_that_takes_too_long_is_504_and_carried_to_its_end() {
    let Some(it) = Server::start_within(short()).await else {
        return;
    };
    // Its wake-up is answered only when the test says so.
    let path = format!("/api/v1/agents/{}/checkin", it.agent);
    let held = it.bell.lock().await;
    let (status, problem) = it.post(&path, "").await;
    assert_eq!(status, 504, "{problem}");
    assert_eq!(problem["code"], "no_answer");
    drop(held);
    let ended = async {
        loop {
            let rows = it.rows().await;
            if rows.last().is_some_and(|row| row.outcome == AuditOutcome::Done) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_question_that_the_database_has_no_time_for_is_given_up() {
    let Some(it) = Server::start_within(short()).await else {
        return;
    };
    // All connections for reading, so that whoever asks has to wait.
    let mut held = Vec::new();
    while let Ok(conn) = tokio::time::timeout(short().answer, it.store.read()).await {
        held.push(conn.unwrap());
    }
    let (status, problem) = it.get("/api/v1/certs").await;
    assert_eq!(status, 503, "{problem}");
    assert!(
        problem["title"]
            .as_str()
            .unwrap()
            .starts_with("there was no answer within")
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .ends_with("ask again in a moment")
    );
    let (status, ready) = it.get("/readyz").await;
    assert_eq!(status, 503, "{ready}");
    drop(held);
    assert_eq!(it.get("/api/v1/certs").await.0, 200);
}

#[tokio::test]
async fn a_sane_request_id_comes_back_and_any_other_is_replaced() {
    let Some(it) = Server::start().await else { return };
    for (sent, is_kept) in [("incident-42", true), ("two words", false)] {
        let url = format!("{}/api/v1/nothing", it.base);
        let request = it.http.get(url).header("x-request-id", sent);
        let response = request.send().await.unwrap();
        let answered = response.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(answered == sent, is_kept, "{answered}");
    }
}

#[tokio::test]
async fn nul_is_refused_wherever_it_stands() {
    let Some(it) = Server::start().await else { return };
    let path = format!("/api/v1/certs/{}/revoke", it.cert);
    let body = r#"{"reason": "superseded", "comment": "a\u0000b"}"#;
    for (status, problem) in [
        it.post(&path, body).await,
        it.get("/api/v1/certs?q=%00").await,
        it.get("/api/v1/certs/crt_%00").await,
    ] {
        assert_eq!(status, 400, "{problem}");
        assert!(problem["title"].as_str().unwrap().contains("U+0000"), "{problem}");
    }
}

#[tokio::test]
async fn metrics_count_requests_by_template_and_the_platform() {
    let Some(it) = Server::start().await else { return };
    it.get(&format!("/api/v1/certs/{}", it.cert)).await;
    it.get("/api/v1/certs/crt_none").await;
    it.get("/wp-login.php?token=secret").await;
    it.seal().await;
    let url = format!("{}/metrics", it.base);
    let response = it.http.get(url).send().await.unwrap();
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(
        media_type.starts_with("application/openmetrics-text"),
        "{media_type}"
    );
    let text = response.text().await.unwrap();
    for line in [
        r#"cmp_http_requests_total{method="GET",route="/api/v1/certs/{id}",status="200"} 1"#,
        r#"cmp_http_requests_total{method="GET",route="/api/v1/certs/{id}",status="404"} 1"#,
        r#"cmp_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"cmp_http_request_duration_seconds_count{method="GET",route="/api/v1/certs/{id}"} 2"#,
        r#"cmp_certificates_expiring{within="0d"} 1"#,
        r#"cmp_certificates_expiring{within="30d"} 1"#,
        r#"cmp_agents{state="silent"} 1"#,
        r#"cmp_adapter_paused{adapter="vault"} 1"#,
        r#"cmp_issuances_total{outcome="failed"} 0"#,
        "cmp_database_up 1",
    ] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
    assert!(text.contains("cmp_build_info{version=\""), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains("wp-login") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn answers_are_dated_by_the_stores_clock_also_when_it_is_set_back() {
    let Some(it) = Server::start().await else { return };
    let date = async |path: &str| {
        let response = it.http.get(format!("{}{path}", it.base)).send().await.unwrap();
        response.headers()["date"].to_str().unwrap().to_owned()
    };
    for (ahead, told) in [(7200, "22:26:40"), (0, "20:26:40")] {
        it.clock.set(noon() + chrono::Duration::seconds(ahead));
        for path in ["/readyz", "/healthz", "/api/v1/me", "/nothing"] {
            assert_eq!(date(path).await, format!("Thu, 28 May 2026 {told} GMT"), "{path}");
        }
    }
}
