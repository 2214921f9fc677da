// k6: what a script does besides requests.
(function (native) {
  'use strict';

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

  return { check, group, sleep, fail, randomSeed };
})
