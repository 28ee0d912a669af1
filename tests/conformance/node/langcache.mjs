// The LangCache SDK for Node.js as its documentation uses it. A conformance app: see ../apps/langcache_sdk.py.
import { createInterface } from "node:readline";
import { LangCache } from "@redis-ai/langcache";
import { LangCacheError } from "@redis-ai/langcache/models/errors";

const METHODS = {
  search: (client, given) => client.search(given),
  set: (client, given) => client.set(given),
  delete_by_id: (client, given) => client.deleteById(given.entry_id),
  delete_query: (client, given) => client.deleteQuery(given),
  flush: (client) => client.flush(),
};
const NAMES = {
  similarity_threshold: "similarityThreshold",
  search_strategies: "searchStrategies",
  ttl_millis: "ttlMillis",
};

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  const given = Object.fromEntries(Object.entries(ask.arguments).map(([name, value]) => [NAMES[name] ?? name, value]));
  let said;
  try {
    const client = new LangCache({ serverURL: ask.url, cacheId: ask.cache, apiKey: ask.key });
    said = { said: (await METHODS[ask.method](client, given)) ?? null };
  } catch (error) {
    if (!(error instanceof LangCacheError)) throw error;
    said = { error: { type: error.name, status: error.statusCode, kind: error.data$?.type ?? null, body: error.body } };
  }
  process.stdout.write(JSON.stringify(said) + "\n");
}
