//! Stands between the functions and PostgreSQL, speaks its protocol, and has every
//! statement explained before it runs: what it would touch, counted in rows and
//! pages instead of seconds. So a test sees each statement that a step is made of,
//! with its real parameters, settings and statistics, and none can be forgotten.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// What statements touched, by their text: rows that the nodes of their plans gave
/// or looked at in vain, and pages that they read.
pub(crate) type Touched = BTreeMap<String, f64>;

/// A way to a database on which everything is explained.
pub(crate) struct Explaining {
    pub(crate) url: String,
    touched: Arc<Mutex<Touched>>,
}

impl Explaining {
    /// A new way to that database.
    pub(crate) async fn start(database: &str) -> Self {
        let mut url = Url::parse(database).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let touched = Arc::new(Mutex::new(Touched::new()));
        let found = Arc::clone(&touched);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                tokio::spawn(Session::new(client, server, Arc::clone(&found)).relay());
            }
        });
        Self {
            url: url.into(),
            touched,
        }
    }

    /// What was touched since this was last asked.
    pub(crate) fn take(&self) -> Touched {
        std::mem::take(&mut self.touched.lock().unwrap())
    }
}

/// A message of the protocol: its kind, and all after its length.
struct Message {
    kind: u8,
    body: Vec<u8>,
}

/// One client's connection, and ours to the server for it.
struct Session {
    client: TcpStream,
    server: TcpStream,
    /// The text and the parameters' types of each prepared statement.
    statements: HashMap<Vec<u8>, Vec<u8>>,
    /// `I` outside of a transaction, `T` within, `E` within a failed one.
    status: u8,
    touched: Arc<Mutex<Touched>>,
}

/// The end of a connection, which either side may choose.
type Relayed<T = ()> = std::io::Result<T>;

impl Session {
    fn new(client: TcpStream, server: TcpStream, touched: Arc<Mutex<Touched>>) -> Self {
        Self {
            client,
            server,
            statements: HashMap::new(),
            status: b'I',
            touched,
        }
    }

    async fn relay(mut self) -> Relayed {
        let length = self.client.read_u32().await?;
        let mut startup = vec![0; length as usize - 4];
        self.client.read_exact(&mut startup).await?;
        self.server.write_u32(length).await?;
        self.server.write_all(&startup).await?;
        // Until the server is ready, it and the client take turns over the password.
        loop {
            let message = receive(&mut self.server).await?;
            let asks =
                message.kind == b'R' && matches!(message.body[..4], [0, 0, 0, 3 | 5 | 10 | 11]);
            let is_ready = message.kind == b'Z';
            send(&mut self.client, &message).await?;
            if asks {
                let answer = receive(&mut self.client).await?;
                send(&mut self.server, &answer).await?;
            }
            if is_ready {
                break;
            }
        }
        loop {
            self.exchange().await?;
        }
    }

    /// Relays what the client sends up to where it waits, and what the server says
    /// to that.
    async fn exchange(&mut self) -> Relayed {
        let mut sent = Vec::new();
        loop {
            let message = receive(&mut self.client).await?;
            let waits = matches!(message.kind, b'S' | b'Q' | b'X');
            sent.push(message);
            if waits {
                break;
            }
        }
        for message in &sent {
            if message.kind == b'P' {
                let (name, rest) = text(&message.body);
                self.statements.insert(name.to_vec(), rest.to_vec());
            }
        }
        for message in &sent {
            if message.kind == b'Q' {
                self.explain_script(text(&message.body).0).await?;
            }
        }
        let executes = sent.iter().any(|message| message.kind == b'E');
        if let Some(bind) = sent
            .iter()
            .find(|message| message.kind == b'B')
            .filter(|_| executes)
        {
            self.explain(&bind.body).await?;
        }
        for message in &sent {
            send(&mut self.server, message).await?;
        }
        loop {
            let message = receive(&mut self.server).await?;
            send(&mut self.client, &message).await?;
            match message.kind {
                b'Z' => {
                    self.status = message.body[0];
                    return Ok(());
                }
                // COPY: the server waits for rows.
                b'G' => return Ok(()),
                _ => {}
            }
        }
    }

    /// Explains the statement that is about to run, and undoes what that did.
    async fn explain(&mut self, bind: &[u8]) -> Relayed {
        let (_portal, bind) = text(bind);
        let (name, values) = text(bind);
        let Some(parsed) = self.statements.get(name) else {
            return Ok(());
        };
        let (sql, types) = text(parsed);
        let sql = String::from_utf8_lossy(sql).into_owned();
        if !works_on_rows(&sql) {
            return Ok(());
        }
        let messages = [
            (b'P', [b"\0", explaining(&sql).as_bytes(), types].concat()),
            (b'B', [b"\0\0", values].concat()),
            (b'E', b"\0\0\0\0\0".to_vec()),
            (b'S', Vec::new()),
        ];
        let (before, after) = self.bracket();
        self.ask(&[(b'Q', before.into())]).await?;
        let rows = self.ask(&messages).await?;
        self.ask(&[(b'Q', after.into())]).await?;
        self.count(&sql, &rows);
        Ok(())
    }

    /// The same for a script without parameters, each statement after the others.
    async fn explain_script(&mut self, script: &[u8]) -> Relayed {
        let script = String::from_utf8_lossy(script).into_owned();
        let statements: Vec<&str> = script.split(';').filter(|sql| works_on_rows(sql)).collect();
        if statements.is_empty() {
            return Ok(());
        }
        let (before, after) = self.bracket();
        self.ask(&[(b'Q', before.into())]).await?;
        for sql in statements {
            let rows = self.ask(&[(b'Q', explaining(sql).into())]).await?;
            self.count(sql, &rows);
        }
        self.ask(&[(b'Q', after.into())]).await?;
        Ok(())
    }

    /// What undoes all that is between.
    fn bracket(&self) -> (&'static str, &'static str) {
        if self.status == b'T' {
            (
                "savepoint explained\0",
                "rollback to explained; release explained\0",
            )
        } else {
            ("begin\0", "rollback\0")
        }
    }

    fn count(&self, sql: &str, rows: &[Vec<u8>]) {
        let plan = rows.first().unwrap_or_else(|| panic!("no plan: {sql}"));
        let plan: Value = serde_json::from_slice(plan).unwrap();
        let plan = &plan[0]["Plan"];
        let all = rows_touched(plan) + pages_touched(plan);
        *self.touched.lock().unwrap().entry(plain(sql)).or_default() += all;
    }

    /// Asks the server something of our own; returns the first column of each row.
    async fn ask(&mut self, messages: &[(u8, Vec<u8>)]) -> Relayed<Vec<Vec<u8>>> {
        for (kind, body) in messages {
            let (kind, body) = (*kind, body.clone());
            send(&mut self.server, &Message { kind, body }).await?;
        }
        let mut rows = Vec::new();
        loop {
            let message = receive(&mut self.server).await?;
            match message.kind {
                b'D' => rows.push(message.body[6..].to_vec()),
                b'E' => panic!("{}", String::from_utf8_lossy(&message.body)),
                b'Z' => return Ok(rows),
                _ => {}
            }
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Relayed<Message> {
    let kind = stream.read_u8().await?;
    let length = stream.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await?;
    Ok(Message { kind, body })
}

async fn send(stream: &mut TcpStream, message: &Message) -> Relayed {
    let length = u32::try_from(message.body.len() + 4).unwrap();
    let frame = [&[message.kind][..], &length.to_be_bytes(), &message.body].concat();
    stream.write_all(&frame).await
}

/// A text that ends with a zero byte, and what follows it.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap();
    (&bytes[..end], &bytes[end + 1..])
}

/// Whether it is a statement of which PostgreSQL makes a plan.
fn works_on_rows(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    ["select", "insert", "update", "delete", "with"].contains(&first)
}

fn explaining(sql: &str) -> String {
    format!("explain (analyze, buffers, timing off, summary off, format json) {sql}\0")
}

/// A statement on one line, the same in every run.
fn plain(sql: &str) -> String {
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let quoted = sql.split('"').enumerate();
    let named: Vec<&str> = quoted
        .map(|(index, text)| if index % 2 == 1 { "name" } else { text })
        .collect();
    named.join("\"")
}

/// Rows that the nodes of a plan gave or looked at in vain, each as often as they did.
fn rows_touched(plan: &Value) -> f64 {
    let loops = plan["Actual Loops"].as_f64().unwrap_or(0.0);
    let own: f64 = plan
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name == "Actual Rows" || name.starts_with("Rows Removed by"))
        .filter_map(|(_, rows)| rows.as_f64())
        .sum();
    let below = plan["Plans"].as_array().into_iter().flatten();
    own * loops + below.map(rows_touched).sum::<f64>()
}

/// Pages that the nodes of a plan read or wrote, whether or not they were in memory.
/// What it takes to write a row is left out: it is the same under every plan, but
/// for how full a page happens to be. So is what a scan of a CTE waits for.
fn pages_touched(plan: &Value) -> f64 {
    let below: Vec<&Value> = plan["Plans"].as_array().into_iter().flatten().collect();
    let own = match plan["Node Type"].as_str() {
        Some("ModifyTable" | "CTE Scan") => 0.0,
        _ => pages(plan) - below.iter().map(|node| pages(node)).sum::<f64>(),
    };
    own.max(0.0) + below.into_iter().map(pages_touched).sum::<f64>()
}

/// All pages of a node and those below it.
fn pages(plan: &Value) -> f64 {
    [
        "Shared Hit Blocks",
        "Shared Read Blocks",
        "Local Hit Blocks",
        "Local Read Blocks",
        "Temp Read Blocks",
        "Temp Written Blocks",
    ]
    .iter()
    .filter_map(|name| plan[*name].as_f64())
    .sum()
}
