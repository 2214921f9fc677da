// The modules that a k6 script may import, on top of the functions of `native`.
(function (native) {
  'use strict';

  // === k6 ===

  function check(value, conditions, tags) {
    if (conditions === null || typeof conditions !== 'object') {
      throw new TypeError('check() expects an object of conditions');
    }
    let all = true;
    for (const name of Object.keys(conditions)) {
      let held = conditions[name];
      let thrown = null;
      if (typeof held === 'function') {
        try {
          held = held(value);
        } catch (error) {
          held = false;
          thrown = { error };
        }
      }
      native.check(name, !!held, tags);
      if (thrown) throw thrown.error;
      if (!held) all = false;
    }
    return all;
  }

  function group(name, work) {
    name = String(name);
    if (typeof work !== 'function') throw new TypeError('group() expects a function');
    if (work.constructor && work.constructor.name === 'AsyncFunction') {
      throw new TypeError('group() does not support async functions');
    }
    const before = native.enterGroup(name);
    try {
      return work();
    } finally {
      native.leaveGroup(before);
    }
  }

  function sleep(seconds) {
    native.sleep(Number(seconds));
  }

  function fail(message) {
    throw new Error(message === undefined ? '' : String(message));
  }

  // A small generator with 32 bits of state (mulberry32).
  function randomSeed(seed) {
    let state = Number(seed) | 0;
    Math.random = function () {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  // === k6/http ===

  // A response makes each of its fields when it is asked for; what is no number is kept, or set by the script.
  const own = (response, name, value) =>
    Object.defineProperty(response, name, { value, writable: true, enumerable: true, configurable: true });

  class Response {
    #details;

    constructor(details) {
      this.#details = details;
    }

    static {
      native.fields.forEach((name, index) => {
        Object.defineProperty(Response.prototype, name, {
          enumerable: true,
          configurable: true,
          get() {
            const value = this.#details(index);
            if (typeof value !== 'number') own(this, name, value);
            return value;
          },
          set(value) {
            own(this, name, value);
          },
        });
      });
    }

    toJSON() {
      const fields = native.fields.map((name) => [name, this[name]]);
      return { ...Object.fromEntries(fields), ...this };
    }

    json(selector) {
      if (this.body === null || this.body === undefined) {
        throw new Error("the body is null so we can't transform it to JSON");
      }
      const text = typeof this.body === 'string' ? this.body : native.text(this.body);
      if (selector === undefined) return JSON.parse(text);
      let value;
      try {
        value = JSON.parse(text);
      } catch (error) {
        return undefined;
      }
      return select(value, parts(String(selector)));
    }
  }

  // The steps of a selector: names, indices, `#` for the length or for each element, and `#(key=="value")`.
  function parts(selector) {
    const found = [];
    let part = '';
    let depth = 0;
    for (let i = 0; i < selector.length; i++) {
      const c = selector[i];
      if (c === '\\' && i + 1 < selector.length) {
        part += selector[++i];
      } else if (c === '.' && depth === 0) {
        found.push(part);
        part = '';
      } else {
        if (c === '(') depth++;
        if (c === ')') depth--;
        part += c;
      }
    }
    found.push(part);
    return found;
  }

  function select(value, path) {
    for (let i = 0; i < path.length; i++) {
      const part = path[i];
      if (value === null || typeof value !== 'object') return undefined;
      if (Array.isArray(value) && part.startsWith('#')) {
        const rest = path.slice(i + 1);
        if (part === '#' && rest.length === 0) return value.length;
        const each = (list) => list.map((one) => select(one, rest)).filter((one) => one !== undefined);
        if (part === '#') return each(value);
        const query = /^#\((.*)\)(#?)$/.exec(part);
        if (!query) return undefined;
        const matching = value.filter((one) => matches(one, query[1]));
        if (query[2] === '#') return rest.length === 0 ? matching : each(matching);
        if (matching.length === 0) return undefined;
        value = matching[0];
        continue;
      }
      if (!Object.prototype.hasOwnProperty.call(value, part) || part === 'length') return undefined;
      value = value[part];
    }
    return value;
  }

  function matches(one, query) {
    const found = /^\s*([^=!<>%]*?)\s*(==|!=|<=|>=|=|<|>)\s*(.*)$/.exec(query);
    if (!found) return select(one, parts(query.trim())) !== undefined;
    const left = found[1] === '' ? one : select(one, parts(found[1]));
    let right = found[3].trim();
    if (right.startsWith('"') && right.endsWith('"')) right = right.slice(1, -1);
    else if (right === 'true' || right === 'false') right = right === 'true';
    else if (right !== '' && !Number.isNaN(Number(right))) right = Number(right);
    if (left === undefined || typeof left !== typeof right) return false;
    switch (found[2]) {
      case '=':
      case '==':
        return left === right;
      case '!=':
        return left !== right;
      case '<':
        return left < right;
      case '<=':
        return left <= right;
      case '>':
        return left > right;
      default:
        return left >= right;
    }
  }

  function quote(text) {
    return encodeURIComponent(String(text))
      .replace(/[!'()]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase())
      .replace(/%20/g, '+')
      .replace(/\*/g, '%2A');
  }

  // The body as it is sent, and the content type that follows from it.
  function encode(body) {
    if (body === null || body === undefined) return [null, null];
    if (typeof body === 'string') return [body, null];
    if (body instanceof ArrayBuffer) return [body, null];
    if (ArrayBuffer.isView(body)) {
      return [body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength), null];
    }
    if (typeof body === 'object') {
      const fields = [];
      for (const key of Object.keys(body).sort()) {
        const values = Array.isArray(body[key]) ? body[key] : [body[key]];
        for (const value of values) fields.push(quote(key) + '=' + quote(value));
      }
      return [fields.join('&'), 'application/x-www-form-urlencoded'];
    }
    return [String(body), null];
  }

  function request(method, url, body, params) {
    if (body === undefined || body === null) {
      return new Response(native.request(method, url, null, null, params));
    }
    const [encoded, type] = encode(body);
    return new Response(native.request(method, url, encoded, type, params));
  }

  function describe(entry) {
    if (typeof entry === 'string' || entry instanceof Url) return ['GET', entry, null, null, undefined];
    if (Array.isArray(entry)) {
      const [encoded, type] = encode(entry[2]);
      return [entry[0], entry[1], encoded, type, entry[3]];
    }
    if (entry !== null && typeof entry === 'object') {
      if (entry.url === undefined) throw new TypeError("batch request doesn't have a url key");
      const [encoded, type] = encode(entry.body);
      return [entry.method === undefined ? 'GET' : entry.method, entry.url, encoded, type, entry.params];
    }
    throw new TypeError('invalid batch request: ' + entry);
  }

  function batch(requests) {
    if (requests === null || requests === undefined || typeof requests !== 'object') {
      throw new TypeError('batch() expects an array or an object of requests');
    }
    const keys = Object.keys(requests);
    const raw = native.batch(keys.map((key) => describe(requests[key])));
    const answers = Array.isArray(requests) ? [] : {};
    keys.forEach((key, i) => {
      answers[key] = new Response(raw[i]);
    });
    return answers;
  }

  class Url {
    constructor(url, name) {
      this.url = url;
      this.name = name;
    }
    toString() {
      return this.url;
    }
  }

  function url(pieces, ...values) {
    let address = pieces[0];
    let name = pieces[0];
    values.forEach((value, i) => {
      address += String(value) + pieces[i + 1];
      name += '${}' + pieces[i + 1];
    });
    return new Url(address, name);
  }

  class ExpectedStatuses {
    constructor(ranges) {
      this.ranges = ranges;
    }
  }

  function expectedStatuses(...statuses) {
    if (statuses.length === 0) throw new TypeError('no arguments');
    const ranges = statuses.map((status, i) => {
      if (Number.isInteger(status)) return [status, status];
      if (status && Number.isInteger(status.min) && Number.isInteger(status.max)) {
        return [status.min, status.max];
      }
      throw new TypeError(`argument number ${i + 1} to expectedStatuses was neither an integer nor a an object like {min:100, max:329}`);
    });
    return new ExpectedStatuses(ranges);
  }

  function setResponseCallback(callback) {
    if (callback === null || callback === undefined) {
      native.expect(null);
    } else if (callback instanceof ExpectedStatuses) {
      native.expect(callback.ranges);
    } else {
      throw new TypeError('unsupported response callback');
    }
  }

  class CookieJar {
    cookiesForURL(address) {
      return native.cookies(String(address));
    }
    set(address, name, value, options) {
      native.setCookie(String(address), String(name), String(value), options);
      return true;
    }
    clear(address) {
      native.clearCookies(String(address), null);
    }
    delete(address, name) {
      native.clearCookies(String(address), String(name));
    }
  }

  const jar = new CookieJar();
  const bodiless = (method) => (address, params) => request(method, address, null, params);
  const bodied = (method) => (address, body, params) => request(method, address, body, params);

  const http = {
    get: bodiless('GET'),
    head: bodiless('HEAD'),
    post: bodied('POST'),
    put: bodied('PUT'),
    patch: bodied('PATCH'),
    del: bodied('DELETE'),
    options: bodied('OPTIONS'),
    request,
    batch,
    url,
    expectedStatuses,
    setResponseCallback,
    cookieJar: () => jar,
    CookieJar,
    Response,
  };

  // === k6/metrics ===

  const metric = (kind) =>
    class {
      constructor(name, isTime) {
        this.name = String(name);
        Object.defineProperty(this, 'index', { value: native.declare(kind, this.name, !!isTime) });
      }
      add(value, tags) {
        const number = value === true ? 1 : value === false ? 0 : Number(value);
        return native.add(this.index, number, tags);
      }
    };

  // === k6/data ===

  class SharedArray {
    constructor(name, build) {
      if (typeof name !== 'string' || name === '') throw new TypeError('a SharedArray needs a name');
      if (typeof build !== 'function') throw new TypeError('a SharedArray needs a function that makes it');
      let length = native.sharedLength(name);
      if (length < 0) {
        const made = build();
        if (!Array.isArray(made)) throw new TypeError('only arrays can be made into a SharedArray');
        native.share(name, made.map((one) => JSON.stringify(one)));
        length = made.length;
      }
      return new Proxy([], {
        get(target, key) {
          if (key === 'length') return length;
          if (typeof key === 'string' && /^\d+$/.test(key)) {
            const text = native.shared(name, Number(key));
            return text === undefined ? undefined : freeze(JSON.parse(text));
          }
          return Reflect.get(target, key);
        },
        has: (target, key) => (typeof key === 'string' && /^\d+$/.test(key) ? Number(key) < length : key in target),
        set() {
          throw new TypeError('SharedArray is immutable');
        },
        deleteProperty() {
          throw new TypeError('SharedArray is immutable');
        },
      });
    }
  }

  function freeze(value) {
    if (value !== null && typeof value === 'object') {
      Object.values(value).forEach(freeze);
      Object.freeze(value);
    }
    return value;
  }

  // === k6/execution ===

  const view = (names, prefix) => {
    const object = {};
    for (const name of names) {
      Object.defineProperty(object, name, { enumerable: true, get: () => native.info(prefix + name) });
    }
    return object;
  };

  const tags = new Proxy(
    {},
    {
      get: (_, key) => (typeof key === 'string' ? native.vuTag(key) : undefined),
      set(_, key, value) {
        if (!['string', 'number', 'boolean'].includes(typeof value)) {
          throw new TypeError(`only String, Boolean and Number types are accepted as a tag value`);
        }
        native.setVuTag(String(key), String(value));
        return true;
      },
      deleteProperty(_, key) {
        native.setVuTag(String(key), null);
        return true;
      },
      ownKeys: () => native.vuTags(),
      has: (_, key) => native.vuTags().includes(key),
      getOwnPropertyDescriptor: (_, key) => ({ enumerable: true, configurable: true, value: native.vuTag(key) }),
    },
  );

  const vu = view(['idInInstance', 'idInTest', 'iterationInInstance', 'iterationInScenario'], 'vu.');
  vu.metrics = { tags, metadata: {} };
  vu.tags = tags;
  const test = {
    abort(reason) {
      native.abort(reason === undefined ? 'test aborted' : String(reason));
    },
    fail(reason) {
      native.fail(reason === undefined ? '' : String(reason));
    },
    get options() {
      return freeze(JSON.parse(native.options()));
    },
  };
  const execution = {
    scenario: view(['name', 'executor', 'startTime', 'progress', 'iterationInInstance', 'iterationInTest'], 'scenario.'),
    instance: view(
      ['iterationsInterrupted', 'iterationsCompleted', 'vusActive', 'vusInitialized', 'currentTestRunDuration'],
      'instance.',
    ),
    test,
    vu,
  };

  // === k6/encoding and k6/crypto ===

  const encoding = {
    b64encode: (data, variant) => native.base64(data, variant === undefined ? 'std' : String(variant)),
    b64decode: (text, variant, format) =>
      native.unbase64(String(text), variant === undefined ? 'std' : String(variant), format === 's'),
  };

  const hash = (algorithm) => (data, output) => native.hash(algorithm, data, output === undefined ? 'hex' : String(output));
  const crypto = {
    sha256: hash('sha256'),
    hmac: (algorithm, key, data, output) =>
      native.hmac(String(algorithm), key, data, output === undefined ? 'hex' : String(output)),
  };

  // === globals ===

  const show = (value) => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return String(value);
    if (value !== null && typeof value === 'object') {
      try {
        return JSON.stringify(value);
      } catch (error) {
        return String(value);
      }
    }
    return String(value);
  };
  const logger = (level) => (...values) => native.log(level, values.map(show).join(' '));
  globalThis.console = {
    log: logger('info'),
    info: logger('info'),
    warn: logger('warning'),
    error: logger('error'),
    debug: logger('debug'),
  };
  globalThis.open = (path, mode) => native.open(String(path), mode === undefined ? '' : String(mode));

  const modules = {
    k6: { check, group, sleep, fail, randomSeed },
    'k6/http': http,
    'k6/metrics': {
      Counter: metric('counter'),
      Gauge: metric('gauge'),
      Rate: metric('rate'),
      Trend: metric('trend'),
    },
    'k6/data': { SharedArray },
    'k6/execution': execution,
    'k6/encoding': encoding,
    'k6/crypto': crypto,
  };

  // === CommonJS ===

  const loaded = new Map();
  globalThis.require = (name) => {
    name = String(name);
    if (Object.prototype.hasOwnProperty.call(modules, name)) return { ...modules[name], default: modules[name] };
    const [path, source] = native.source(name);
    if (!loaded.has(path)) {
      const module = { exports: {} };
      loaded.set(path, module);
      native.compile(path, source)(module, module.exports);
    }
    return loaded.get(path).exports;
  };

  return modules;
})
