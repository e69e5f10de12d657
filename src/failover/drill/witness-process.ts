/** The witness of a drill, as a process of its own: `node witness-process.ts FOLDER PORT REGION=KEY…` */
import { systemClock } from '../../clock.ts';
import { createLog } from '../../telemetry/log.ts';
import { createMetrics } from '../../telemetry/meter.ts';
import { defaultMaxAgeMs } from '../witness/http-wire.ts';
import { openLeaseFile } from '../witness/lease-file.ts';
import { createWitnessService } from '../witness/service.ts';

const [directory = '', port = '0', ...regions] = process.argv.slice(2);
const service = createWitnessService({
  file: openLeaseFile({ directory, clock: systemClock }),
  regions: regions.map((pair) => {
    const [name = '', publicKey = ''] = pair.split('=');
    return { name, publicKey };
  }),
  maxAgeMs: defaultMaxAgeMs,
  clock: systemClock,
  log: createLog({ level: 'error' }),
  metrics: createMetrics({ version: 'drill' }),
});
process.stdout.write(`${await service.listen({ host: '127.0.0.1', port: Number(port) })}\n`);
