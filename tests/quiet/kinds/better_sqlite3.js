// better_sqlite3.js write|read DB: commits transactions, or reads and iterates, until it is ended.
const Database = require("better-sqlite3");

const [role, path] = process.argv.slice(2);
const db = new Database(path, { timeout: 30000, readonly: role === "read" });

let turn;
if (role === "write") {
  const insert = db.prepare("insert into t(v) values(randomblob(400))");
  const update = db.prepare("update t set v=randomblob(400) where id=?");
  turn = db.transaction(() => {
    for (let i = 0; i < 5; i++) {
      insert.run();
      update.run(1 + Math.floor(Math.random() * 200));
    }
  });
} else {
  const rows = db.prepare("select id, v from t limit 500");
  turn = () => {
    let bytes = 0;
    for (const row of rows.iterate()) bytes += String(row.v).length;
    return bytes;
  };
}

turn();
console.log("ready");
setInterval(turn, 20);
