// Renode compiles this file when emu includes it: each public method below becomes a command of the Monitor.
using System.Collections.Generic;
using System.IO;

using Antmicro.Renode.Peripherals.CPU;

namespace Emu
{
    /// Halts the core before a block that takes SP lower than ever before, or to memory that is no known stack.
    public static class StackWatchCommands
    {
        /// Begin a watch that knows no stack. The hook does nothing while `except` has one of `bits` set.
        public static void BeginStackWatch(this TranslationCPU cpu, int sp, int except, uint bits)
        {
            watch = new StackWatch(cpu, sp, except, bits);
            cpu.SetHookAtBlockBegin(watch.Look);
        }

        /// Tell what the code does to SP. Without this, each block has to be one instruction.
        public static void LoadStackCode(this TranslationCPU cpu, string path)
        {
            watch.Load(path);
        }

        /// Add a stack from `floor` to `top` whose lowest SP so far is `lowest`, or change it.
        public static void WatchStack(this TranslationCPU cpu, uint floor, uint top, uint lowest)
        {
            watch.Add(floor, top, lowest);
        }

        /// Return where SP goes that the watch has halted the core for; 0 if it has not halted it.
        public static uint StackSeen(this TranslationCPU cpu)
        {
            return watch.Seen();
        }

        /// Return the first address of code that ran and is in no piece of code that was loaded; 0 if there is none.
        public static uint UnknownStackCode(this TranslationCPU cpu)
        {
            return watch.Unknown;
        }

        private static StackWatch watch;
    }

    public class StackWatch
    {
        public StackWatch(TranslationCPU cpu, int sp, int except, uint bits)
        {
            this.cpu = cpu;
            this.sp = sp;
            this.except = except;
            this.bits = bits;
        }

        public uint Unknown { get; private set; }

        public void Load(string path)
        {
            using(var file = new BinaryReader(File.OpenRead(path)))
            {
                for(var pieces = file.ReadUInt32(); pieces > 0; pieces--)
                {
                    var start = file.ReadUInt32();
                    code.Add(new Piece(start, file.ReadBytes((int)file.ReadUInt32())));
                }
                for(var effects = file.ReadUInt32(); effects > 0; effects--)
                {
                    var address = file.ReadUInt32();
                    changes[address] = file.ReadInt32();
                }
                for(var looks = file.ReadUInt32(); looks > 0; looks--)
                {
                    cpu.AddHook(file.ReadUInt32(), (_, address) => Check(Register(sp)));
                }
            }
            isLoaded = true;
        }

        public void Add(uint floor, uint top, uint lowest)
        {
            stacks.RemoveAll(stack => stack.Top == top);
            stacks.Add(new Stack { Floor = floor, Top = top, Lowest = lowest });
            stacks.Sort((one, other) => one.Top.CompareTo(other.Top));
        }

        public uint Seen()
        {
            var last = seen;
            seen = 0;
            return last;
        }

        public void Look(ulong pc, uint size)
        {
            if(except >= 0 && (Register(except) & bits) != 0)
            {
                return;
            }
            Check(Register(sp) - Drop((uint)pc & ~1u, size));
        }

        private void Check(uint lowest)
        {
            foreach(var stack in stacks)
            {
                if(lowest <= stack.Top && lowest >= stack.Floor)
                {
                    if(lowest >= stack.Lowest)
                    {
                        return;
                    }
                    break;
                }
            }
            seen = lowest;
            cpu.IsHalted = true;
        }

        /// Return by how many bytes the block takes SP below its value before the block, at the deepest.
        private uint Drop(uint pc, uint size)
        {
            uint drop;
            var block = (ulong)pc << 32 | size;
            if(isLoaded && !drops.TryGetValue(block, out drop))
            {
                drops[block] = drop = Walk(pc, size);
                return drop;
            }
            return isLoaded ? drops[block] : 0;
        }

        private uint Walk(uint pc, uint size)
        {
            var piece = code.Find(each => each.Start <= pc && pc - each.Start < each.Code.Length);
            if(piece == null)
            {
                Unknown = Unknown == 0 ? pc : Unknown;
                return 0;
            }
            int now = 0, deepest = 0;
            for(; size > 0 && pc - piece.Start < piece.Code.Length - 1; size--)
            {
                int change;
                if(changes.TryGetValue(pc, out change))
                {
                    if(change == int.MinValue)
                    {
                        break; // what follows it is looked at when it has run
                    }
                    now += change;
                    deepest = now < deepest ? now : deepest;
                }
                pc += (piece.Code[pc - piece.Start + 1] >= 0xE8) ? 4u : 2u;
            }
            return (uint)-deepest;
        }

        private uint Register(int number)
        {
            return (uint)cpu.GetRegister(number).RawValue;
        }

        private class Piece
        {
            public Piece(uint start, byte[] code)
            {
                Start = start;
                Code = code;
            }

            public readonly uint Start;
            public readonly byte[] Code;
        }

        private class Stack
        {
            public uint Floor, Top, Lowest;
        }

        private uint seen;
        private bool isLoaded;
        private readonly TranslationCPU cpu;
        private readonly int sp, except;
        private readonly uint bits;
        private readonly List<Piece> code = new List<Piece>();
        private readonly List<Stack> stacks = new List<Stack>();
        private readonly Dictionary<uint, int> changes = new Dictionary<uint, int>();
        private readonly Dictionary<ulong, uint> drops = new Dictionary<ulong, uint>();
    }
}
