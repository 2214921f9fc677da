// k6/http: requests and their responses.
(function (native, module) {
  'use strict';

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
      return module('values').select(value, String(selector));
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

  return {
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
})
