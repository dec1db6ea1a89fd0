// Calls @kafkajs/confluent-schema-registry for the tests: one JSON array [method, ...arguments] a line in, and a line
// out for each: {"value": ...} or {"error": name, "status": status, "message": text}. Buffers travel as {"base64": text}.
'use strict'
const { createInterface } = require('node:readline')
const Ajv2020 = require('ajv/dist/2020')
const { SchemaRegistry } = require('@kafkajs/confluent-schema-registry')

const [host, username, password] = process.argv.slice(2)
// By itself the client knows the dialect of draft 7 alone.
const ajvInstance = new Ajv2020({ validateFormats: false })
const registry = new SchemaRegistry(
  { host, auth: { username, password }, retry: { retries: 0 } },
  { JSON: { ajvInstance } },
)

const opened = (_, value) =>
  value && typeof value === 'object' && 'base64' in value ? Buffer.from(value.base64, 'base64') : value

async function answer([method, ...given]) {
  try {
    const value = await registry[method](...given)
    return { value: Buffer.isBuffer(value) ? { base64: value.toString('base64') } : value }
  } catch (error) {
    return { error: error.name, status: error.status, message: error.message }
  }
}

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line, opened))))
  }
}

main()
