// An agent that greets, in JavaScript: everything that an agent can say, with Node alone.
// It does its task in two runs, to show how one goes on where the one before has stopped.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const runDir = process.env.OCTOPOID_RUN_DIR;
const state = process.env.OCTOPOID_STATE_DIR; // stays from run to run of this task
const task = JSON.parse(readFileSync(join(runDir, "task.json"), "utf8"));

// Leave an item in the outbox: written under another name, then renamed, so that it is read whole.
function put(name, item) {
  const temporary = join(runDir, "outbox", `.${name}.tmp`);
  writeFileSync(temporary, JSON.stringify(item));
  renameSync(temporary, join(runDir, "outbox", `${name}.json`));
}

// Wait for the answer to an item, as long as it takes.
async function reply(name) {
  const answer = join(runDir, "inbox", `${name}.json`);
  while (!existsSync(answer)) await sleep(200);
  return JSON.parse(readFileSync(answer, "utf8"));
}

async function implement() {
  const memory = join(state, "word");
  put("usage", { kind: "usage", input: 1200, output: 300, cost_usd: 0.01, turns: 1 });
  if (!existsSync(memory)) {
    put("begun", { kind: "progress", text: "I have read the task." });
    put("word", { kind: "ask", question: "Which word of greeting?", options: ["hello", "good day"] });
    mkdirSync(state, { recursive: true });
    writeFileSync(memory, (await reply("word")).answer);
    put("result", { kind: "result", outcome: "out_of_turns" });
    return;
  }
  writeFileSync("greeting.txt", readFileSync(memory, "utf8") + "\n");
  execFileSync("git", ["add", "greeting.txt"]);
  execFileSync("git", ["commit", "-q", "-m", "Greet"]);
  put("result", { kind: "result", outcome: "completed" });
}

async function review() {
  const good = existsSync("greeting.txt");
  const reason = good ? "It greets." : "There is no greeting.";
  put("verdict", { kind: "verdict", verdict: good ? "accept" : "reject", reason });
  console.log("usable:", (await reply("verdict")).usable);
}

await (task.role === "review" ? review() : implement());
