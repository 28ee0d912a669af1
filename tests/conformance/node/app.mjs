// The providers' own Node.js SDKs, each used as its documentation does. A conformance app: see ../apps/protocol.py.
// `app.mjs -newest` takes the newest generation of each, which needs Node.js 22; without it, the one before.
import { createInterface } from "node:readline";

const which = process.argv[2] ?? "";
const { default: Anthropic } = await import(`@anthropic-ai/sdk${which}`);
const { default: OpenAI } = await import(`openai${which}`);
const { GoogleGenAI } = await import(`@google/genai${which}`);

const WEATHER = {
  name: "get_weather",
  description: "The weather in a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const clients = new Map();
function client(sdk, key, make) {
  const name = `${sdk} ${key}`;
  if (!clients.has(name)) clients.set(name, make());
  return clients.get(name);
}
const openai = (key) => client("openai", key, () => new OpenAI({ apiKey: key, maxRetries: 0 }));
const anthropic = (key) => client("anthropic", key, () => new Anthropic({ apiKey: key, maxRetries: 0 }));
const google = (key) => client("google", key, () => new GoogleGenAI({ apiKey: key }));

function chatAnswer(completion, events = []) {
  const message = completion.choices[0].message;
  const calls = (message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
  return { text: message.content ?? "", calls, whole: completion, events };
}

async function chat({ key, question, model, stream, tools }) {
  const request = { model, messages: [{ role: "user", content: question }] };
  if (tools) request.tools = [{ type: "function", function: WEATHER }];
  if (!stream) return chatAnswer(await openai(key).chat.completions.create(request));
  const runner = openai(key).chat.completions.stream({ ...request, stream_options: { include_usage: true } });
  const events = [];
  for await (const chunk of runner) events.push(chunk.object);
  return chatAnswer(await runner.finalChatCompletion(), events);
}

function responseAnswer(response, events = []) {
  const calls = response.output
    .filter((item) => item.type === "function_call")
    .map((item) => [item.name, JSON.parse(item.arguments)]);
  return { text: response.output_text, calls, whole: response, events };
}

async function responses({ key, question, model, stream, tools }) {
  const request = { model, input: question };
  if (tools) request.tools = [{ type: "function", strict: false, ...WEATHER }];
  if (!stream) return responseAnswer(await openai(key).responses.create(request));
  const runner = openai(key).responses.stream(request);
  const events = [];
  for await (const event of runner) events.push(event.type);
  return responseAnswer(await runner.finalResponse(), events);
}

async function embeddings({ key, question, model }) {
  const found = await openai(key).embeddings.create({ model, input: question });
  if (found.data[0].embedding.length !== 1536) throw new Error("not the whole vector");
  return { text: "", calls: [], whole: found, events: [] };
}

function messageAnswer(message, events = []) {
  const text = message.content.map((block) => block.text ?? "").join("");
  const calls = message.content.filter((block) => block.type === "tool_use").map((block) => [block.name, block.input]);
  return { text, calls, whole: message, events };
}

async function messages({ key, question, model, stream, tools }) {
  const request = { model, max_tokens: 99, messages: [{ role: "user", content: question }] };
  const { parameters, ...weather } = WEATHER;
  if (tools) request.tools = [{ ...weather, input_schema: parameters }];
  if (!stream) return messageAnswer(await anthropic(key).messages.create(request));
  const runner = anthropic(key).messages.stream(request);
  const events = [];
  for await (const event of runner) events.push(event.type);
  return messageAnswer(await runner.finalMessage(), events);
}

async function generate({ key, question, model, stream, tools }) {
  const request = { model, contents: question, config: { temperature: 0.5 } };
  const { parameters, ...weather } = WEATHER;
  if (tools) request.config.tools = [{ functionDeclarations: [{ ...weather, parametersJsonSchema: parameters }] }];
  const replies = [];
  if (stream) for await (const chunk of await google(key).models.generateContentStream(request)) replies.push(chunk);
  else replies.push(await google(key).models.generateContent(request));
  const parts = replies.flatMap((reply) => reply.candidates[0].content.parts);
  const { sdkHttpResponse: _, ...whole } = JSON.parse(JSON.stringify(replies.at(-1)));
  if (stream) delete whole.candidates[0].content; // each piece says the same again but for its part of the content
  return {
    text: parts.map((part) => part.text ?? "").join(""),
    calls: parts.filter((part) => part.functionCall).map((part) => [part.functionCall.name, part.functionCall.args]),
    whole,
    events: stream ? ["chunk"] : [],
  };
}

const SDKS = {
  "node-openai-chat": chat,
  "node-openai-responses": responses,
  "node-openai-embeddings": embeddings,
  "node-anthropic": messages,
  "node-google-genai": generate,
};

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  let said;
  try {
    said = await SDKS[ask.sdk](ask);
  } catch (error) {
    if (!error.status) console.error(error);
    said = { error: { type: error.constructor.name, status: error.status ?? 0, message: String(error.message) } };
  }
  if (said.events) said.events = [...new Set(said.events)];
  console.log(JSON.stringify(said));
}
