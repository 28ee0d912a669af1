// Asks a provider of this machine the same question by each way that Node programs have, and prints the answers.
import http from "node:http";
import axios from "axios";
import got from "got";
import { Ollama } from "ollama";

const [, , host] = process.argv;
const url = `${host}/api/chat`;
const json = { model: "m", messages: [{ role: "user", content: "What is the capital of France?" }], stream: false };

const byHttp = () =>
  new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST" }, async (response) => {
      let body = "";
      for await (const piece of response) body += piece;
      resolve(JSON.parse(body));
    });
    request.on("error", reject).end(JSON.stringify(json));
  });

const ways = {
  ollama: () => new Ollama({ host }).chat(json),
  axios: async () => (await axios.post(url, json)).data,
  got: () => got.post(url, { json }).json(),
  http: byHttp,
  fetch: async () => (await fetch(url, { method: "POST", body: JSON.stringify(json) })).json(),
};
for (const [way, ask] of Object.entries(ways)) console.log(way, (await ask()).message.content);
