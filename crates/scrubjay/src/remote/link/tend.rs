//! The task that keeps a link connected.

use super::live::Live;
use super::trouble::sound;
use super::{Inner, Link, LinkState, News, Trouble, Watcher, one};
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value, cmd};
use std::sync::Arc;
use std::time::Duration;

/// Connects, again and again, until the link is closed.
pub(super) async fn tend(inner: Arc<Inner>, watcher: Arc<dyn Watcher>) {
    let link = Link { inner: Arc::clone(&inner), is_watcher: true };
    let mut closed = inner.is_closed.subscribe();
    loop {
        let why = tokio::select! {
            why = session(&inner, &link, &watcher) => why,
            _ = closed.wait_for(|is_closed| *is_closed) => return,
        };
        inner.live.store(None);
        let why: Arc<str> = why.to_string().into();
        tracing::warn!(cache = &*inner.cache, why = &*why, "the remote tier is away");
        watcher.lost(&why);
        let now_ms = inner.clock.now_ms();
        inner.state.store(Arc::new(LinkState::Away { why, since_ms: now_ms, retry_at_ms: now_ms + 250 }));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn session(inner: &Arc<Inner>, link: &Link, watcher: &Arc<dyn Watcher>) -> Trouble {
    let live = match connect(inner, watcher).await {
        Ok(live) => live,
        Err(trouble) => {
            one(&inner.counters.connect_failed);
            return trouble;
        }
    };
    one(&inner.counters.connected);
    let news = live.news.clone();
    inner.live.store(Some(Arc::new(live)));
    if let Err(trouble) = watcher.connected(link).await {
        return trouble;
    }
    inner.state.store(Arc::new(LinkState::Serving { coherence: news }));
    tracing::info!(cache = &*inner.cache, "the remote tier serves");
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let ping = async {
            let Some(live) = inner.live.load_full() else { return Ok(()) };
            if let Some(tracking) = &live.tracking {
                sound(tracking.clone().send_packed_command(&cmd("PING")).await)?;
            }
            watcher.heartbeat(link).await
        };
        if let Err(trouble) = inner.in_time(ping).await {
            return trouble;
        }
    }
}

async fn connect(inner: &Arc<Inner>, watcher: &Arc<dyn Watcher>) -> Result<Live, Trouble> {
    let address = &inner.addresses[0];
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(inner.remote.connect_timeout))
        .set_response_timeout(None);
    let mut connection = address.client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut has_scripts = cmd("EVAL");
    has_scripts.arg("return 1").arg(0);
    let has_scripts = sound(connection.send_packed_command(&has_scripts).await).is_ok();
    let told = Arc::clone(watcher);
    let config = config.set_push_sender(move |push: PushInfo| {
        if push.kind == PushKind::Invalidate {
            tell(&*told, push.data);
        }
        Ok::<(), ()>(())
    });
    let mut tracking = address.client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut command = cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("BCAST");
    for prefix in &inner.prefixes {
        command.arg("PREFIX").arg(prefix);
    }
    sound(tracking.send_packed_command(&command).await)?;
    Ok(Live { connection, tracking: Some(tracking), has_scripts, news: News::Tracking })
}

fn tell(watcher: &dyn Watcher, data: Vec<Value>) {
    for part in data {
        match part {
            Value::Array(keys) => {
                let bytes = |key| if let Value::BulkString(bytes) = key { Some(bytes) } else { None };
                watcher.changed(keys.into_iter().filter_map(bytes).collect());
            }
            _ => watcher.flushed(),
        }
    }
}
