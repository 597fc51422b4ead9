"use strict";

const POLL_MS = 2000;
const MESSAGES_SHOWN = 100;
const form = document.getElementById("open");
const field = document.getElementById("key");
const said = document.getElementById("said");
const list = document.getElementById("messages");
let timer = 0;

function shown(message) {
  const item = document.createElement("li");
  const head = document.createElement("small");
  const channel = message.channel.replace("CHANNEL_", "").toLowerCase();
  head.textContent = `${new Date(message.receivedAt).toLocaleString()} · ${channel} to ${message.maskedAddress}`;
  item.append(head);
  if (message.subject) {
    const subject = document.createElement("strong");
    subject.textContent = message.subject;
    item.append(subject);
  }
  const body = document.createElement("p");
  body.textContent = message.body;
  item.append(body);
  return item;
}

async function refresh(key) {
  try {
    const headers = { Authorization: `Bearer ${key}` };
    const response = await fetch(`/v1/sandbox/inbox?pageSize=${MESSAGES_SHOWN}`, { headers, cache: "no-store" });
    const answer = await response.json();
    if (!response.ok) {
      throw new Error(answer.detail || answer.title || `status ${response.status}`);
    }
    const messages = answer.messages || [];
    list.replaceChildren(...messages.map(shown));
    said.textContent = messages.length ? "" : "Nothing has come yet. Start the demo, or create a delivery with a customer.";
    sessionStorage.setItem("key", key);
  } catch (error) {
    said.textContent = `The inbox cannot be read: ${error.message}`;
  }
  timer = setTimeout(refresh, POLL_MS, key);
}

function open(key) {
  clearTimeout(timer);
  refresh(key);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  open(field.value.trim());
});

const known = sessionStorage.getItem("key");
if (known) {
  field.value = known;
  open(known);
}
