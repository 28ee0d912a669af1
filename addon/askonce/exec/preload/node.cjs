// Sends the connections of http clients, TLS or plain, through the proxy, in a Node.js that cannot do so by itself.
//
// Loaded by NODE_OPTIONS=--require. One rule: only what would speak http is touched (fetch, undici, https, http2 and
// everything built on them offer http in their TLS hello, and connect without TLS in a way of their own); databases, mail
// and the rest connect as ever.
"use strict";

const http = require("node:http");
const https = require("node:https");
const net = require("node:net");
const tls = require("node:tls");
const { Duplex } = require("node:stream");
const { syncBuiltinESMExports } = require("node:module");

const HTTP = ["http/1.1", "h2"];

function proxyUrl(scheme) {
  const text = process.env[`${scheme}_proxy`] || process.env[`${scheme.toUpperCase()}_PROXY`];
  try {
    const url = new URL(text);
    return url.protocol === "http:" ? url : undefined;
  } catch {
    return undefined;
  }
}

function bare(host) {
  return String(host || "localhost").toLowerCase().replace(/^\[|\]$/g, "");
}

// NO_PROXY: names with everything below them, a port where one is given, `*` for all.
function isDirect(host, port) {
  const list = process.env.no_proxy || process.env.NO_PROXY || "";
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === "*") return true;
    const [, name, only] = /^\*?\.?(\[[^\]]*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    if (!name || (only && Number(only) !== port)) return false;
    return host === bare(name) || host.endsWith(`.${bare(name)}`);
  });
}

// The proxy to a place; none to the proxy itself, which clients that know of it ask by themselves.
function proxyTo(scheme, host, port) {
  const proxy = proxyUrl(scheme);
  if (!proxy || !port || isDirect(host, port)) return undefined;
  return host === bare(proxy.hostname) && port === Number(proxy.port || 80) ? undefined : proxy;
}

// A stream to host:port by way of the proxy. It exists before the tunnel does, because agents want their socket at once.
class Tunnel extends Duplex {
  constructor(proxy, host, port) {
    super({ allowHalfOpen: false });
    const authority = `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
    const headers = { host: authority };
    if (proxy.username) {
      const user = decodeURIComponent(`${proxy.username}:${proxy.password}`);
      headers["proxy-authorization"] = `Basic ${Buffer.from(user).toString("base64")}`;
    }
    const request = http.request({
      host: bare(proxy.hostname),
      port: proxy.port || 80,
      method: "CONNECT",
      path: authority,
      headers,
      createConnection: net.createConnection,
    });
    this.request = request;
    this.opened = new Promise((resolve) => {
      request.once("connect", (response, socket, head) => {
        if (response.statusCode !== 200) {
          socket.destroy();
          this.destroy(new Error(`The proxy ${proxy.host} refused ${authority}: ${response.statusCode}`));
          return;
        }
        if (head.length) socket.unshift(head);
        socket.setNoDelay(true);
        socket.on("data", (chunk) => this.push(chunk) || socket.pause());
        socket.on("end", () => this.push(null));
        socket.on("error", (error) => this.destroy(error));
        socket.on("close", () => this.destroy());
        this.socket = socket;
        if (this.unreferenced) socket.unref();
        socket.on("timeout", () => this.emit("timeout"));
        socket.setTimeout(this.patience ?? 0);
        resolve(socket);
        this.emit("connect");
      });
    });
    request.once("error", (error) => this.destroy(error));
    request.end();
  }

  _read() {
    this.socket?.resume();
  }

  _write(chunk, encoding, done) {
    if (this.socket) this.socket.write(chunk, done);
    else this.opened.then((socket) => socket.write(chunk, done));
  }

  _final(done) {
    this.opened.then((socket) => socket.end(done));
  }

  _destroy(error, done) {
    this.request.destroy();
    this.socket?.destroy();
    done(error);
  }

  // What clients of plain http ask of a socket.
  setTimeout(milliseconds, callback) {
    if (callback) this.once("timeout", callback);
    this.patience = milliseconds;
    this.socket?.setTimeout(milliseconds);
    return this;
  }

  setKeepAlive() {
    return this;
  }

  setNoDelay() {
    return this;
  }

  ref() {
    this.unreferenced = false;
    this.socket?.ref();
    return this;
  }

  unref() {
    this.unreferenced = true;
    this.socket?.unref();
    return this;
  }
}

function speaksHttp({ ALPNProtocols: offered }) {
  return Array.isArray(offered) && offered.some((name) => HTTP.includes(String(name)));
}

// As undici, and so fetch, opens a plain connection; nobody else names all of these.
function isFromUndici(options) {
  const named = ["highWaterMark", "localAddress", "path", "port"];
  return options !== null && typeof options === "object" && named.every((name) => name in options) && !options.path;
}

// A way to connect that goes through the proxy where `isHttp` says that what it is for speaks http.
function tunnelled(connect, isHttp) {
  return function (...args) {
    const options = args[0];
    if (isHttp(options)) {
      const host = bare(options.host);
      const port = Number(options.port);
      const proxy = proxyTo("http", host, port);
      if (proxy) return new Tunnel(proxy, host, port);
    }
    return connect.apply(this, args);
  };
}

function install() {
  const { prototype } = http.Agent;
  const isHttp = (options) => !options.path && !options.socketPath;
  prototype.createConnection = tunnelled(prototype.createConnection, isHttp);
  net.connect = tunnelled(net.connect, isFromUndici);

  // Later versions of Node.js offer it by themselves.
  const createConnection = https.Agent.prototype.createConnection;
  https.Agent.prototype.createConnection = function (options, ...rest) {
    const isPlain = options !== null && typeof options === "object" && !options.ALPNProtocols;
    return createConnection.call(this, isPlain ? { ...options, ALPNProtocols: ["http/1.1"] } : options, ...rest);
  };

  const connect = tls.connect;
  tls.connect = function (...args) {
    const callback = args.find((argument) => typeof argument === "function");
    const options = Object.assign({}, ...args.filter((argument) => argument !== null && typeof argument === "object"));
    if (typeof args[0] !== "object") {
      options.port = args[0];
      if (typeof args[1] === "string") options.host = args[1];
    }
    const host = bare(options.host);
    const port = Number(options.port);
    const proxy = proxyTo("https", host, port);
    if (!proxy || options.socket || options.path || !speaksHttp(options)) {
      return connect.apply(this, args);
    }
    const tunnel = new Tunnel(proxy, host, port);
    const secure = connect.call(this, { ...options, socket: tunnel }, callback);
    // Agents unref an idle connection so that it does not keep the program alive.
    for (const name of ["ref", "unref"]) {
      secure[name] = function () {
        tunnel[name]();
        return Object.getPrototypeOf(secure)[name].call(this);
      };
    }
    return secure;
  };
  syncBuiltinESMExports();
}

// Node.js 22.21 and 24.5 learned to read the proxy's variables; NODE_USE_ENV_PROXY=1 makes them.
if (!process.allowedNodeEnvironmentFlags.has("--use-env-proxy")) install();
