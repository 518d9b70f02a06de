// Made tfjs_control.json: what TensorFlow.js itself makes of a fixed input, for comparison with the
// converted models. Needs @tensorflow/tfjs-core, -converter and -backend-cpu 4; a minute.
//   node tfjs_control.mjs FOLDER_OF_MODELS > tfjs_control.json
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import fs from "node:fs";
await tf.setBackend("cpu");
const dir = process.argv[2] + "/";
const cases = [
  ["nanodet", "nanodet", [1,3,416,416], "float32", {"Identity:0":"Identity:0","Identity_1:0":"Identity_1:0","Identity_2:0":"Identity_2:0","Identity_3:0":"Identity_3:0","Identity_4:0":"Identity_4:0","Identity_5:0":"Identity_5:0"}],
  ["movenet-lightning", "movenet-lightning", [1,192,192,3], "int32", {"Identity:0":"Identity:0"}],
  ["face_landmark", "facemesh", [1,192,192,3], "float32", {points:"Identity_2:0", presence:"StatefulPartitionedCall/model_1/conv2d_31/BiasAdd:0"}],
];
const out = {};
for (const [name, src, shape, dtype, outs] of cases) {
  const json = JSON.parse(fs.readFileSync(dir+src+".json"));
  const bin = fs.readFileSync(dir+src+".bin");
  const model = await loadGraphModel({load: async () => ({modelTopology: json.modelTopology, format: json.format, signature: json.signature, weightSpecs: json.weightsManifest[0].weights, weightData: bin.buffer.slice(bin.byteOffset, bin.byteOffset+bin.length)})});
  const n = shape.reduce((a,b)=>a*b);
  const data = dtype === "int32" ? new Int32Array(n) : new Float32Array(n);
  for (let i=0;i<n;i++){ const v = (i * 7919 + Math.floor(i/97) * 31) % 256; data[i] = dtype==="int32" ? v : name==="nanodet" ? (v-114)/57 : v/255; }
  const x = tf.tensor(data, shape, dtype);
  const t0=Date.now();
  const names = Object.keys(outs);
  const inName = Object.values(json.signature.inputs)[0].name;
  const r = await model.executeAsync({[inName]: x}, names.map(k=>outs[k]));
  const list = Array.isArray(r)? r:[r];
  out[name] = {};
  names.forEach((k,j)=>{ const d = list[j].dataSync(); const step = Math.max(1, Math.floor(d.length/64)); const s=[]; for(let i=0;i<d.length && s.length<64;i+=step) s.push(Number(d[i].toPrecision(8))); let sum=0; for (const v of d) sum+=v; out[name][k] = {size:d.length, mean:Number((sum/d.length).toPrecision(8)), every:step, values:s}; });
  console.error(name, Date.now()-t0,"ms");
}
process.stdout.write(JSON.stringify(out) + "\n");
